package import Glibc

// Calls and constants of Linux that Swift's Glibc module leaves out, found by name in the C library.

package func function<T>(_ name: String, as type: T.Type) -> T {
    guard let address = dlsym(nil, name) else { fatalError("the C library has no \(name)") }
    return unsafeBitCast(address, to: type)
}

private typealias Path = UnsafePointer<CChar>

package func renameat2(_ from: String, _ to: String, _ flags: UInt32) -> CInt {
    function("renameat2", as: (@convention(c) (CInt, Path, CInt, Path, UInt32) -> CInt).self)(AT_FDCWD, from, AT_FDCWD, to, flags)
}

package func allocate(_ descriptor: CInt, mode: CInt, _ offset: off_t, _ length: off_t) -> CInt {
    function("fallocate", as: (@convention(c) (CInt, CInt, off_t, off_t) -> CInt).self)(descriptor, mode, offset, length)
}

/// From `offset` of the one file to the same offset of the other.
package func copyRange(_ from: CInt, _ to: CInt, _ length: Int, at offset: off_t = 0) -> Int {
    var (source, target) = (offset, offset)
    return function(
        "copy_file_range",
        as: (@convention(c) (CInt, UnsafeMutablePointer<off_t>, CInt, UnsafeMutablePointer<off_t>, Int, UInt32) -> Int).self)(
            from, &source, to, &target, length, 0)
}

/// The mask and birth time that statx(2) gives when it must ask the server.
package func birthTime(_ path: String) -> (mask: UInt32, seconds: Int64)? {
    var bytes = [UInt8](repeating: 0, count: 256)
    let forceSync: CInt = 0x2000
    let result = function("statx", as: (@convention(c) (CInt, Path, CInt, UInt32, UnsafeMutableRawPointer) -> CInt).self)(
        AT_FDCWD, path, forceSync, 0xfff, &bytes)
    if result != 0 { return nil }
    return bytes.withUnsafeBytes { ($0.load(as: UInt32.self), $0.load(fromByteOffset: 80, as: Int64.self)) }
}

package let directIOFlag: CInt = 0o40000
package let temporaryFileFlag: CInt = 0o20200000
package let seekData: CInt = 3
package let seekHole: CInt = 4

package func setxattr(_ path: String, _ name: String, _ value: [UInt8], _ flags: CInt, followsLinks: Bool = true) -> CInt {
    function(followsLinks ? "setxattr" : "lsetxattr", as: (@convention(c) (Path, Path, UnsafeRawPointer, Int, CInt) -> CInt).self)(
        path, name, value, value.count, flags)
}

/// With no `value` the length alone.
package func getxattr(
    _ path: String, _ name: String, _ value: UnsafeMutableRawPointer?, _ size: Int, followsLinks: Bool = true
) -> Int {
    function(followsLinks ? "getxattr" : "lgetxattr", as: (@convention(c) (Path, Path, UnsafeMutableRawPointer?, Int) -> Int).self)(
        path, name, value, size)
}

package func listxattr(_ path: String, _ names: UnsafeMutableRawPointer? = nil, _ size: Int = 0) -> Int {
    function("listxattr", as: (@convention(c) (Path, UnsafeMutableRawPointer?, Int) -> Int).self)(path, names, size)
}

package func removexattr(_ path: String, _ name: String, followsLinks: Bool = true) -> CInt {
    function(followsLinks ? "removexattr" : "lremovexattr", as: (@convention(c) (Path, Path) -> CInt).self)(path, name)
}

package let xattrCreate: CInt = 1
package let xattrReplace: CInt = 2
