import FileSystem
import Syscalls
import SystemPackage

/// Names of volumes, for the source and the store.
enum VolumePath {
    /// The directory at a path of the volume. Symbolic links are not followed.
    static func directory(_ path: String, in fileSystem: FileSystem) throws(Failure) -> InodeID {
        var inode = InodeID.root
        for name in try names(path) { inode = try child(name, of: inode, in: fileSystem, path) }
        return inode
    }

    static func names(_ path: String) throws(Failure) -> [[UInt8]] {
        guard let names = TreePath.components(path.utf8.drop { $0 == UInt8(ascii: "/") }) else {
            throw Failure(.usage, "is no path in a volume", object: path)
        }
        return names
    }

    static func child(_ name: [UInt8], of directory: InodeID, in fileSystem: FileSystem, _ path: String) throws(Failure) -> InodeID {
        let found: Attributes
        do throws(Errno) {
            found = try name.withBytes { (name) throws(Errno) in try fileSystem.lookup(directory, name, retaining: false) }
        } catch {
            if error == .noSuchFileOrDirectory { throw Failure(.missing, "there is no such directory in the volume", object: path) }
            throw Failure(systemCall: "looking up", object: path, error)
        }
        guard found.type == .directory else { throw Failure(.missing, "is not a directory", object: path, cause: .notDirectory) }
        return found.inode
    }

    static func isDots(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count <= 2 && name.allSatisfy { $0 == UInt8(ascii: ".") }
    }

    static func failure(_ what: String, _ path: [UInt8], _ errno: Errno) -> Failure {
        // What fails its authentication is damage, though a program in a mount would be told of an I/O error.
        if errno == .ioError { return Failure(.damaged, "\(what) failed: the volume is damaged there", object: ArchiveEntry.display(path)) }
        return Failure(systemCall: what, object: ArchiveEntry.display(path), errno)
    }
}

/// A device's number as Linux packs it into 32 bits.
struct DeviceNumber {
    var major: UInt32
    var minor: UInt32

    init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    init(_ packed: UInt32) {
        major = packed >> 8 & 0xFFF
        minor = packed & 0xFF | packed >> 12 & 0xFFF00
    }

    var packed: UInt32 { minor & 0xFF | (major & 0xFFF) << 8 | (minor & 0xFFF00) << 12 }
}
