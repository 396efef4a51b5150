/// What a request of the kernel asks for (enum fuse_opcode).
public enum Opcode: UInt32, Sendable, CaseIterable {
    case lookup = 1
    case forget = 2
    case getattr = 3
    case setattr = 4
    case readlink = 5
    case symlink = 6
    case mknod = 8
    case mkdir = 9
    case unlink = 10
    case rmdir = 11
    case rename = 12
    case link = 13
    case open = 14
    case read = 15
    case write = 16
    case statfs = 17
    case release = 18
    case fsync = 20
    case setxattr = 21
    case getxattr = 22
    case listxattr = 23
    case removexattr = 24
    case flush = 25
    case initialize = 26
    case opendir = 27
    case readdir = 28
    case releasedir = 29
    case fsyncdir = 30
    case getlk = 31
    case setlk = 32
    case setlkw = 33
    case access = 34
    case create = 35
    case interrupt = 36
    case bmap = 37
    case destroy = 38
    case ioctl = 39
    case poll = 40
    case notifyReply = 41
    case batchForget = 42
    case fallocate = 43
    case readdirplus = 44
    case rename2 = 45
    case lseek = 46
    case copyFileRange = 47
    case setupMapping = 48
    case removeMapping = 49
    case syncfs = 50
    case tmpfile = 51
    case statx = 52
    case copyFileRange64 = 53
}

extension Opcode {
    /// Size in bytes of the fixed structure that follows the header; what comes after it (names, data) is the payload.
    /// A transport that receives both in one buffer splits it here.
    package var operationSizeBytes: Int {
        switch self {
        case .lookup, .readlink, .symlink, .unlink, .rmdir, .statfs, .removexattr, .destroy, .syncfs: 0
        case .forget: MemoryLayout<ForgetIn>.size
        case .getattr: MemoryLayout<GetattrIn>.size
        case .setattr: MemoryLayout<SetattrIn>.size
        case .mknod: MemoryLayout<MknodIn>.size
        case .mkdir: MemoryLayout<MkdirIn>.size
        case .rename: MemoryLayout<RenameIn>.size
        case .link: MemoryLayout<LinkIn>.size
        case .open, .opendir: MemoryLayout<OpenIn>.size
        case .read, .readdir, .readdirplus: MemoryLayout<ReadIn>.size
        case .write: MemoryLayout<WriteIn>.size
        case .release, .releasedir: MemoryLayout<ReleaseIn>.size
        case .fsync, .fsyncdir: MemoryLayout<FsyncIn>.size
        case .setxattr: MemoryLayout<SetxattrIn>.size
        case .getxattr, .listxattr: MemoryLayout<GetxattrIn>.size
        case .flush: MemoryLayout<FlushIn>.size
        case .initialize: MemoryLayout<InitInBase>.size
        case .access: MemoryLayout<AccessIn>.size
        case .create, .tmpfile: MemoryLayout<CreateIn>.size
        case .interrupt: MemoryLayout<InterruptIn>.size
        case .batchForget: MemoryLayout<BatchForgetIn>.size
        case .fallocate: MemoryLayout<FallocateIn>.size
        case .rename2: MemoryLayout<Rename2In>.size
        case .lseek: MemoryLayout<LseekIn>.size
        case .copyFileRange, .copyFileRange64: MemoryLayout<CopyFileRangeIn>.size
        case .statx: MemoryLayout<StatxIn>.size
        case .getlk, .setlk, .setlkw, .bmap, .ioctl, .poll, .notifyReply, .setupMapping, .removeMapping: 0
        }
    }

    /// Whether the kernel waits for no answer.
    package var isUnanswered: Bool {
        switch self {
        case .forget, .batchForget, .notifyReply: true
        default: false
        }
    }
}
