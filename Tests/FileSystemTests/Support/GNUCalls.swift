import Glibc

/// Calls of Linux that the Glibc module leaves out, since it is built without _GNU_SOURCE.
enum GNU {
    typealias Renameat2 = @convention(c) (CInt, UnsafePointer<CChar>, CInt, UnsafePointer<CChar>, CUnsignedInt) -> CInt
    typealias Fallocate = @convention(c) (CInt, CInt, off_t, off_t) -> CInt
    typealias Setxattr = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, CInt) -> CInt
    typealias Getxattr = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer, Int) -> Int
    typealias Removexattr = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>) -> CInt
    typealias Getdents64 = @convention(c) (CInt, UnsafeMutableRawPointer, Int) -> Int
    typealias CopyFileRange =
        @convention(c) (
            CInt, UnsafeMutablePointer<off_t>, CInt, UnsafeMutablePointer<off_t>, Int, CUnsignedInt
        ) -> Int

    static let renameat2 = function("renameat2", Renameat2.self)
    static let fallocate = function("fallocate", Fallocate.self)
    static let setxattr = function("setxattr", Setxattr.self)
    static let getxattr = function("getxattr", Getxattr.self)
    static let removexattr = function("removexattr", Removexattr.self)
    static let getdents64 = function("getdents64", Getdents64.self)
    static let copyFileRange = function("copy_file_range", CopyFileRange.self)

    static let pathOnly: CInt = 0o10000000
    static let emptyPath: CInt = 0x1000

    private static func function<T>(_ name: String, _ type: T.Type) -> T {
        guard let symbol = dlsym(nil, name) else { fatalError("glibc has no \(name)") }
        // The type is that of the function's declaration in glibc's headers.
        return unsafeBitCast(symbol, to: type)
    }
}
