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

/// What the volume itself is made of.
let engineDependencies: [Package.Dependency] = [
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    // The minor version is pinned: Sealing calls the BoringSSL inside (see Sealing/Cipher/CipherContext.swift).
    .package(url: "https://github.com/apple/swift-crypto", .upToNextMinor(from: "4.5.2")),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
]

/// What programs, server and clients need besides.
let networkDependencies: [Package.Dependency] = [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-http-structured-headers", from: "1.7.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
    .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
]

let engineTargets: [Target] = [
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
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
    layer(
        "Archive",
        [
            "FileSystem", "Sealing", "Syscalls", "CSyscalls", "CSodium", "CArchive", "CZlib", "CZstd",
            .product(name: "Crypto", package: "swift-crypto"),
        ]),
    layer("FUSE", ["CSyscalls", "CURing", "Syscalls"]),
    layer("Mount", ["FUSE", "FileSystem", "Syscalls", .product(name: "Logging", package: "swift-log")]),

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
    .target(name: "DiskSimulation", dependencies: ["BlobStorage", "Syscalls"], path: "Tests/DiskSimulation", swiftSettings: strict),
    tests(
        "VolumeTests",
        ["FileSystem", "Log", "Tables", "KeyManagement", "BlobStorage", "Sealing", "Syscalls", "LinuxTesting", "DiskSimulation"]),
    tests("ArchiveTests", ["Archive", "FileSystem", "MetadataStore", "ChunkStore", "Sealing", "Syscalls", "CSyscalls"]),
    tests("FUSETests", ["FUSE", "Syscalls", "LinuxTesting"]),
    tests(
        "MountTests",
        [
            "Mount", "FUSE", "FileSystem", "MetadataStore", "ChunkStore", "Syscalls", "LinuxTesting",
            .product(name: "Logging", package: "swift-log"),
        ]),
]

let networkTargets: [Target] = [
    .systemLibrary(name: "CRnp", pkgConfig: "librnp", providers: [.apt(["librnp-dev"])]),
    .systemLibrary(name: "CSSH", pkgConfig: "libssh", providers: [.apt(["libssh-dev"])]),
    // C calls of editline(3), whose own take variable arguments.
    .target(name: "CEditline", linkerSettings: [.linkedLibrary("edit")]),
    layer(
        "Identity",
        [
            "CRnp", "CSSH", "CSodium", "Sealing", "Syscalls",
            .product(name: "Crypto", package: "swift-crypto"),
            .product(name: "X509", package: "swift-certificates"),
            .product(name: "SwiftASN1", package: "swift-asn1"),
        ]),
    layer(
        "Client",
        [
            "Identity", "Sealing", "Syscalls",
            .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOTLS", package: "swift-nio"),
            .product(name: "NIOSSL", package: "swift-nio-ssl"),
        ]),
    layer(
        "Transfer",
        [
            "Client", "Identity", "FileSystem", "Sealing", "Syscalls", "CSyscalls",
            .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "TOMLKit", package: "TOMLKit"),
        ]),
    .executableTarget(
        name: "efs",
        dependencies: [
            "Mount", "FUSE", "Archive", "FileSystem", "Log", "KeyManagement", "Sealing", "Syscalls", "CSyscalls", "Client", "Identity",
            "Transfer",
            .product(name: "NIOCore", package: "swift-nio"),
            .product(name: "SystemPackage", package: "swift-system"),
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Logging", package: "swift-log"),
        ],
        swiftSettings: strict),
    .target(
        name: "Server",
        dependencies: [
            "FileSystem", "Identity", "KeyManagement", "Sealing", "Syscalls",
            .product(name: "SystemPackage", package: "swift-system"),
            .product(name: "Crypto", package: "swift-crypto"),
            .product(name: "Logging", package: "swift-log"),
            .product(name: "NIOCore", package: "swift-nio"),
            .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "NIOTLS", package: "swift-nio"),
            .product(name: "NIOSSL", package: "swift-nio-ssl"),
            .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
            .product(name: "HTTPTypes", package: "swift-http-types"),
            .product(name: "RawStructuredFieldValues", package: "swift-http-structured-headers"),
            .product(name: "X509", package: "swift-certificates"),
            .product(name: "SwiftASN1", package: "swift-asn1"),
            .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            .product(name: "HummingbirdCore", package: "hummingbird"),
            .product(name: "HummingbirdTLS", package: "hummingbird"),
            .product(name: "HummingbirdHTTP2", package: "hummingbird"),
            .product(name: "JWTKit", package: "jwt-kit"),
        ],
        // Part of the program, so that it needs no file beside it.
        resources: [.embedInCode("Resources/openapi.json")],
        swiftSettings: strict),
    .executableTarget(
        name: "efs-server",
        dependencies: [
            "Server", "Sealing", "Syscalls", .product(name: "Logging", package: "swift-log"),
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: strict),
    .executableTarget(
        name: "efsctl",
        dependencies: [
            "Server", "Identity", "KeyManagement", "Sealing", "Syscalls",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "NIOHTTP1", package: "swift-nio"),
        ],
        swiftSettings: strict),
    .executableTarget(
        name: "efsc",
        dependencies: [
            "Client", "Transfer", "Identity", "KeyManagement", "Sealing", "Syscalls", "CEditline",
            .product(name: "NIOCore", package: "swift-nio"),
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: strict),

    tests(
        "IdentityTests",
        [
            "Identity", "Sealing", "Syscalls", .product(name: "X509", package: "swift-certificates"),
            .product(name: "SwiftASN1", package: "swift-asn1"),
        ]),
    tests("ClientTests", ["Client"]),
    tests(
        "TransferTests",
        ["Transfer", "Client", "FileSystem", "KeyManagement", "Sealing", "Syscalls", .product(name: "NIOCore", package: "swift-nio")]),
    tests("CommandLineTests", ["efs", "Syscalls", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
    tests(
        "ServerTests",
        [
            "Server", "FileSystem", "Identity", "Sealing", "Syscalls",
            .product(name: "SystemPackage", package: "swift-system"),
            .product(name: "Crypto", package: "swift-crypto"),
            .product(name: "Logging", package: "swift-log"),
            .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "NIOTLS", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
            .product(name: "NIOSSL", package: "swift-nio-ssl"), .product(name: "HTTPTypes", package: "swift-http-types"),
            .product(name: "JWTKit", package: "jwt-kit"),
        ]),
]

let engineProducts: [Product] = [
    .library(name: "EFS", targets: ["FileSystem"]),
    .library(name: "FUSE", targets: ["FUSE"]),
]

let networkProducts: [Product] = [
    .library(name: "EFSClient", targets: ["Client"]),
    .executable(name: "efs", targets: ["efs"]),
    .executable(name: "efs-server", targets: ["efs-server"]),
    .executable(name: "efsctl", targets: ["efsctl"]),
    .executable(name: "efsc", targets: ["efsc"]),
]

/// `EFS_ENGINE_ONLY=1 swift test` leaves out all that speaks over a network, and so builds in a fraction of the time.
let isEngineOnly = Context.environment["EFS_ENGINE_ONLY"] != nil

let package = Package(
    name: "efs",
    products: engineProducts + (isEngineOnly ? [] : networkProducts),
    dependencies: engineDependencies + (isEngineOnly ? [] : networkDependencies),
    targets: engineTargets + (isEngineOnly ? [] : networkTargets)
)
