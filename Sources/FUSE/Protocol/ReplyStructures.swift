// What is sent to the kernel (include/uapi/linux/fuse.h), laid out as C lays it out; a test checks size and offsets.

/// Head of every reply and notification.
package struct OutHeader: BitwiseCopyable {
    package var lengthBytes: UInt32
    package var error: Int32
    package var unique: UInt64
}

package struct AttributesOut: BitwiseCopyable {
    package var inode: UInt64
    package var size: UInt64
    package var blocks: UInt64
    package var atime: UInt64
    package var mtime: UInt64
    package var ctime: UInt64
    package var atimeNanoseconds: UInt32
    package var mtimeNanoseconds: UInt32
    package var ctimeNanoseconds: UInt32
    package var mode: UInt32
    package var linkCount: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var rdev: UInt32
    package var blockSize: UInt32
    package var flags: UInt32
}

package struct EntryOut: BitwiseCopyable {
    package var node: UInt64
    package var generation: UInt64
    package var entryValid: UInt64
    package var attributesValid: UInt64
    package var entryValidNanoseconds: UInt32
    package var attributesValidNanoseconds: UInt32
    package var attributes: AttributesOut
}

package struct AttrOut: BitwiseCopyable {
    package var attributesValid: UInt64
    package var attributesValidNanoseconds: UInt32
    package var dummy: UInt32 = 0
    package var attributes: AttributesOut
}

package struct OpenOut: BitwiseCopyable {
    package var handle: UInt64
    package var openFlags: UInt32
    package var backingID: Int32 = 0
}

package struct CreateOut: BitwiseCopyable {
    package var entry: EntryOut
    package var open: OpenOut
}

package struct WriteOut: BitwiseCopyable {
    package var size: UInt32
    package var padding: UInt32 = 0
}

package struct StatfsOut: BitwiseCopyable {
    package var blocks: UInt64
    package var freeBlocks: UInt64
    package var availableBlocks: UInt64
    package var files: UInt64
    package var freeFiles: UInt64
    package var blockSize: UInt32
    package var nameLength: UInt32
    package var fragmentSize: UInt32
    package var padding: UInt32 = 0
    package var spare: (UInt64, UInt64, UInt64) = (0, 0, 0)
}

package struct GetxattrOut: BitwiseCopyable {
    package var size: UInt32
    package var padding: UInt32 = 0
}

package struct LseekOut: BitwiseCopyable { package var offset: UInt64 }

package struct CopyFileRangeOut: BitwiseCopyable { package var bytesCopied: UInt64 }

package struct InitOut: BitwiseCopyable {
    package var major: UInt32
    package var minor: UInt32
    package var maxReadahead: UInt32
    package var flags: UInt32
    package var maxBackground: UInt16
    package var congestionThreshold: UInt16
    package var maxWrite: UInt32
    package var timeGranularity: UInt32
    package var maxPages: UInt16
    package var mapAlignment: UInt16 = 0
    package var flags2: UInt32
    package var maxStackDepth: UInt32 = 0
    package var requestTimeout: UInt16 = 0
    package var unused0: UInt16 = 0
    package var unused: (UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0)
}

package struct StatxTime: BitwiseCopyable {
    package var seconds: Int64
    package var nanoseconds: UInt32
    package var reserved: Int32 = 0
}

package struct StatxOut: BitwiseCopyable {
    package var attributesValid: UInt64
    package var attributesValidNanoseconds: UInt32
    package var flags: UInt32 = 0
    package var spare: (UInt64, UInt64) = (0, 0)
    package var mask: UInt32
    package var blockSize: UInt32
    package var attributes: UInt64
    package var linkCount: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var mode: UInt16
    package var spare0: UInt16 = 0
    package var inode: UInt64
    package var size: UInt64
    package var blocks: UInt64
    package var attributesMask: UInt64
    package var atime: StatxTime
    package var btime: StatxTime
    package var ctime: StatxTime
    package var mtime: StatxTime
    package var rdevMajor: UInt32
    package var rdevMinor: UInt32
    package var devMajor: UInt32 = 0
    package var devMinor: UInt32 = 0
    package var spare2: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
    package var spare3: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
}

/// Head of one name in a directory listing; the name follows, padded to 8 bytes.
package struct DirentOut: BitwiseCopyable {
    package var inode: UInt64
    package var nextOffset: UInt64
    package var nameLength: UInt32
    package var type: UInt32
}

package enum NotifyCode: Int32 {
    case invalidateInode = 2
    case invalidateEntry = 3
    case store = 4
    case delete = 6
}

package struct NotifyInvalidateInodeOut: BitwiseCopyable {
    package var node: UInt64
    package var offset: Int64
    package var length: Int64
}

package struct NotifyInvalidateEntryOut: BitwiseCopyable {
    package var parent: UInt64
    package var nameLength: UInt32
    package var flags: UInt32 = 0
}

package struct NotifyDeleteOut: BitwiseCopyable {
    package var parent: UInt64
    package var child: UInt64
    package var nameLength: UInt32
    package var padding: UInt32 = 0
}

package struct NotifyStoreOut: BitwiseCopyable {
    package var node: UInt64
    package var offset: UInt64
    package var size: UInt32
    package var padding: UInt32 = 0
}
