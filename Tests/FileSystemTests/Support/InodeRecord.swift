@testable import FileSystem

/// The engine's inode record, where SystemPackage has an `Inode` too.
typealias InodeRecord = Inode
