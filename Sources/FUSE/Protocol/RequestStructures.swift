// What the kernel sends (include/uapi/linux/fuse.h). Only fixed-width integers in the order of the header file, so that
// Swift lays them out as C does; a test checks size and offsets of each.

/// Head of every request.
public struct InHeader: BitwiseCopyable, Sendable {
    /// Of the whole message.
    public var lengthBytes: UInt32 = 0
    public var opcode: UInt32 = 0
    public var unique: UInt64 = 0
    public var node: UInt64 = 0
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var pid: UInt32 = 0
    /// Length of the extensions at the message's end, in units of 8 bytes.
    public var extensionUnits: UInt16 = 0
    public var padding: UInt16 = 0

    public init() {}
}

package struct ForgetIn: BitwiseCopyable { package var count: UInt64 }

package struct ForgetOne: BitwiseCopyable {
    package var node: UInt64
    package var count: UInt64
}

package struct BatchForgetIn: BitwiseCopyable {
    package var count: UInt32
    package var dummy: UInt32
}

package struct GetattrIn: BitwiseCopyable {
    package var flags: UInt32
    package var dummy: UInt32
    package var handle: UInt64
}

package struct SetattrIn: BitwiseCopyable {
    package var valid: UInt32
    package var padding: UInt32
    package var handle: UInt64
    package var size: UInt64
    package var lockOwner: UInt64
    package var atime: UInt64
    package var mtime: UInt64
    package var ctime: UInt64
    package var atimeNanoseconds: UInt32
    package var mtimeNanoseconds: UInt32
    package var ctimeNanoseconds: UInt32
    package var mode: UInt32
    package var unused4: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var unused5: UInt32
}

package struct MknodIn: BitwiseCopyable {
    package var mode: UInt32
    package var rdev: UInt32
    package var umask: UInt32
    package var padding: UInt32
}

package struct MkdirIn: BitwiseCopyable {
    package var mode: UInt32
    package var umask: UInt32
}

package struct RenameIn: BitwiseCopyable { package var newParent: UInt64 }

package struct Rename2In: BitwiseCopyable {
    package var newParent: UInt64
    package var flags: UInt32
    package var padding: UInt32
}

package struct LinkIn: BitwiseCopyable { package var node: UInt64 }

package struct OpenIn: BitwiseCopyable {
    package var flags: UInt32
    package var openFlags: UInt32
}

package struct CreateIn: BitwiseCopyable {
    package var flags: UInt32
    package var mode: UInt32
    package var umask: UInt32
    package var openFlags: UInt32
}

package struct ReleaseIn: BitwiseCopyable {
    package var handle: UInt64
    package var flags: UInt32
    package var releaseFlags: UInt32
    package var lockOwner: UInt64
}

package struct FlushIn: BitwiseCopyable {
    package var handle: UInt64
    package var unused: UInt32
    package var padding: UInt32
    package var lockOwner: UInt64
}

package struct ReadIn: BitwiseCopyable {
    package var handle: UInt64
    package var offset: UInt64
    package var size: UInt32
    package var readFlags: UInt32
    package var lockOwner: UInt64
    package var flags: UInt32
    package var padding: UInt32
}

package struct WriteIn: BitwiseCopyable {
    package var handle: UInt64
    package var offset: UInt64
    package var size: UInt32
    package var writeFlags: UInt32
    package var lockOwner: UInt64
    package var flags: UInt32
    package var padding: UInt32
}

package struct FsyncIn: BitwiseCopyable {
    package var handle: UInt64
    package var flags: UInt32
    package var padding: UInt32
}

/// The form with FUSE_SETXATTR_EXT, which the session always asks for (kernel 5.12 and newer).
package struct SetxattrIn: BitwiseCopyable {
    package var size: UInt32
    package var flags: UInt32
    package var setxattrFlags: UInt32
    package var padding: UInt32
}

package struct GetxattrIn: BitwiseCopyable {
    package var size: UInt32
    package var padding: UInt32
}

package struct AccessIn: BitwiseCopyable {
    package var mask: UInt32
    package var padding: UInt32
}

/// The part of fuse_init_in that every kernel sends; `flags2` and a spare tail follow with FUSE_INIT_EXT.
package struct InitInBase: BitwiseCopyable {
    package var major: UInt32
    package var minor: UInt32
    package var maxReadahead: UInt32
    package var flags: UInt32
}

package struct InterruptIn: BitwiseCopyable { package var unique: UInt64 }

package struct FallocateIn: BitwiseCopyable {
    package var handle: UInt64
    package var offset: UInt64
    package var length: UInt64
    package var mode: UInt32
    package var padding: UInt32
}

package struct LseekIn: BitwiseCopyable {
    package var handle: UInt64
    package var offset: UInt64
    package var whence: UInt32
    package var padding: UInt32
}

package struct CopyFileRangeIn: BitwiseCopyable {
    package var sourceHandle: UInt64
    package var sourceOffset: UInt64
    package var targetNode: UInt64
    package var targetHandle: UInt64
    package var targetOffset: UInt64
    package var length: UInt64
    package var flags: UInt64
}

package struct StatxIn: BitwiseCopyable {
    package var getattrFlags: UInt32
    package var reserved: UInt32
    package var handle: UInt64
    package var flags: UInt32
    package var mask: UInt32
}
