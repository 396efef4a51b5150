@testable import FUSE

/// Builds a request as the kernel would send it.
struct MessageBuilder {
    var opcode: UInt32
    var node: UInt64 = 1
    var unique: UInt64 = 2
    var body: [UInt8] = []

    init(_ opcode: Opcode, node: UInt64 = 1) {
        self.opcode = opcode.rawValue
        self.node = node
    }

    mutating func add<T: BitwiseCopyable>(_ structure: T) { withUnsafeBytes(of: structure) { body += $0 } }
    mutating func add(name: String) { body += Array(name.utf8) + [0] }
    mutating func add(bytes: [UInt8]) { body += bytes }

    var message: [UInt8] {
        var header = InHeader()
        header.lengthBytes = UInt32(40 + body.count)
        header.opcode = opcode
        header.node = node
        header.unique = unique
        return withUnsafeBytes(of: header) { Array($0) } + body
    }

    /// One whole request of each kind that has a handler.
    static var samples: [MessageBuilder] {
        var all: [MessageBuilder] = []
        func sample(_ opcode: Opcode, _ fill: (inout MessageBuilder) -> Void) {
            var builder = MessageBuilder(opcode)
            fill(&builder)
            all.append(builder)
        }
        for opcode in [Opcode.lookup, .unlink, .rmdir, .removexattr] { sample(opcode) { $0.add(name: "some-name") } }
        sample(.forget) { $0.add(ForgetIn(count: 1)) }
        sample(.batchForget) {
            $0.add(BatchForgetIn(count: 3, dummy: 0))
            for node in 50..<53 { $0.add(ForgetOne(node: UInt64(node), count: 1)) }
        }
        sample(.symlink) {
            $0.add(name: "link")
            $0.add(name: "target")
        }
        sample(.mknod) {
            $0.add(MknodIn(mode: 0o100644, rdev: 0, umask: 0, padding: 0))
            $0.add(name: "node")
        }
        sample(.mkdir) {
            $0.add(MkdirIn(mode: 0o755, umask: 0))
            $0.add(name: "folder")
        }
        sample(.rename) {
            $0.add(RenameIn(newParent: 1))
            $0.add(name: "old")
            $0.add(name: "new")
        }
        sample(.rename2) {
            $0.add(Rename2In(newParent: 1, flags: 1, padding: 0))
            $0.add(name: "old")
            $0.add(name: "new")
        }
        sample(.link) {
            $0.add(LinkIn(node: 1))
            $0.add(name: "hard")
        }
        sample(.getattr) { $0.add(GetattrIn(flags: 0, dummy: 0, handle: 0)) }
        sample(.setattr) {
            $0.add(bytes: [UInt8](repeating: 0xff, count: 88))
        }
        sample(.statx) { $0.add(StatxIn(getattrFlags: 0, reserved: 0, handle: 0, flags: 0, mask: 0xfff)) }
        for opcode in [Opcode.readlink, .statfs, .syncfs, .destroy] { sample(opcode) { _ in } }
        sample(.access) { $0.add(AccessIn(mask: 4, padding: 0)) }
        sample(.setxattr) {
            $0.add(SetxattrIn(size: 5, flags: 0, setxattrFlags: 0, padding: 0))
            $0.add(name: "user.x")
            $0.add(bytes: [1, 2, 3, 4, 5])
        }
        for opcode in [Opcode.getxattr, .listxattr] {
            sample(opcode) {
                $0.add(GetxattrIn(size: 100, padding: 0))
                if opcode == .getxattr { $0.add(name: "user.x") }
            }
        }
        for opcode in [Opcode.open, .opendir] { sample(opcode) { $0.add(OpenIn(flags: 0, openFlags: 0)) } }
        for opcode in [Opcode.create, .tmpfile] {
            sample(opcode) {
                $0.add(CreateIn(flags: 0, mode: 0o100600, umask: 0, openFlags: 0))
                $0.add(name: "made")
            }
        }
        for opcode in [Opcode.read, .readdir, .readdirplus] {
            sample(opcode) {
                $0.add(ReadIn(handle: 0, offset: 0, size: 4096, readFlags: 0, lockOwner: 0, flags: 0, padding: 0))
            }
        }
        sample(.write) {
            $0.add(WriteIn(handle: 0, offset: 0, size: 9, writeFlags: 0, lockOwner: 0, flags: 0, padding: 0))
            $0.add(bytes: [UInt8](repeating: 7, count: 9))
        }
        sample(.flush) { $0.add(FlushIn(handle: 0, unused: 0, padding: 0, lockOwner: 0)) }
        for opcode in [Opcode.release, .releasedir] {
            sample(opcode) { $0.add(ReleaseIn(handle: 0, flags: 0, releaseFlags: 0, lockOwner: 0)) }
        }
        for opcode in [Opcode.fsync, .fsyncdir] { sample(opcode) { $0.add(FsyncIn(handle: 0, flags: 0, padding: 0)) } }
        sample(.fallocate) { $0.add(FallocateIn(handle: 0, offset: 0, length: 10, mode: 0, padding: 0)) }
        sample(.lseek) { $0.add(LseekIn(handle: 0, offset: 0, whence: 3, padding: 0)) }
        for opcode in [Opcode.copyFileRange, .copyFileRange64] {
            sample(opcode) {
                $0.add(
                    CopyFileRangeIn(
                        sourceHandle: 0, sourceOffset: 0, targetNode: 1, targetHandle: 0, targetOffset: 0, length: 10, flags: 0))
            }
        }
        sample(.interrupt) { $0.add(InterruptIn(unique: 99)) }
        return all
    }
}
