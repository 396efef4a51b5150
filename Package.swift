// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target: Swift 6 mode, no warning is tolerated.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),  // SE-0335
    .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409
    .enableUpcomingFeature("MemberImportVisibility"),  // SE-0444
]

/// A layer of docs/ARCHITECTURE.md. It may import only what it lists here.
func layer(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "efs",
    products: [
        .library(name: "EFS", targets: ["FileSystem"]),
        .library(name: "FUSE", targets: ["FUSE"]),
        .executable(name: "efs", targets: ["efs"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // The minor version is pinned: Sealing calls the BoringSSL inside (see Sealing/Cipher/CipherContext.swift).
        .package(url: "https://github.com/apple/swift-crypto", .upToNextMinor(from: "4.5.2")),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CSyscalls"),
        .target(name: "CURing", linkerSettings: [.linkedLibrary("uring")]),

        layer("Syscalls", ["CSyscalls", .product(name: "SystemPackage", package: "swift-system")]),
        layer("Records"),
        layer(
            "Sealing",
            [
                "CSodium", "CSyscalls", "Syscalls",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]),
        layer("KeyManagement", ["Records", "Sealing", "Syscalls", "CSodium", "CSyscalls"]),
        layer("BlobStorage", ["Syscalls"]),
        layer("Tables", ["Records", "Sealing", "BlobStorage", "Syscalls", "CZstd"]),
        layer("Log", ["Records", "Sealing", "BlobStorage", "Tables", "Syscalls"]),
        layer("MetadataStore", ["Records", "Log", "Syscalls"]),
        layer("ChunkStore", ["Records", "Log", "Syscalls"]),
        layer(
            "FileSystem",
            ["Records", "MetadataStore", "ChunkStore", "Log", "BlobStorage", "KeyManagement", "Sealing", "Syscalls"]),
        layer("FUSE", ["CSyscalls", "CURing", "Syscalls"]),
        layer("Mount", ["FUSE", "FileSystem", "Syscalls", .product(name: "Logging", package: "swift-log")]),
        .executableTarget(
            name: "efs",
            dependencies: [
                "Mount", "FileSystem", "Log", "KeyManagement", "Sealing", "Syscalls", "CSyscalls",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        tests("RecordsTests", ["Records"]),
        tests(
            "SealingTests",
            [
                "Sealing", "CSodium", "CSyscalls", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]),
        tests("KeyManagementTests", ["KeyManagement", "Sealing", "Syscalls", "CSyscalls"]),
        tests("BlobStorageTests", ["BlobStorage", "Syscalls"]),
        tests("TablesTests", ["Tables", "Records", "Sealing", "BlobStorage", "Syscalls"]),
        tests("LogTests", ["Log", "Tables", "Records", "Sealing", "BlobStorage", "Syscalls"]),
        tests(
            "FileSystemTests",
            ["FileSystem", "MetadataStore", "ChunkStore", "Log", "Records", "Sealing", "BlobStorage", "Syscalls"]),
        tests("GoldenVolumeTests", ["FileSystem", "KeyManagement", "Sealing", "Syscalls"]),
        .target(name: "LinuxTesting", dependencies: ["Syscalls", "CSyscalls"], path: "Tests/LinuxTesting", swiftSettings: strict),
        tests("VolumeTests", ["FileSystem", "Log", "KeyManagement", "BlobStorage", "Sealing", "Syscalls", "LinuxTesting"]),
        tests("FUSETests", ["FUSE", "Syscalls", "LinuxTesting"]),
        tests("CommandLineTests", ["efs", "Syscalls", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
        tests(
            "MountTests",
            [
                "Mount", "FUSE", "FileSystem", "MetadataStore", "ChunkStore", "Syscalls", "LinuxTesting",
                .product(name: "Logging", package: "swift-log"),
            ]),
    ]
)
