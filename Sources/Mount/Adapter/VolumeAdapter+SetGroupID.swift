import FUSE
import FileSystem
import Glibc
import Syscalls
import SystemPackage

/// Set-group-ID of a file that its group may not execute. On other file systems the kernel takes it away where the caller is not in the
/// file's group; of a FUSE server it asks to clear the bits, and does not say what groups the caller is in.
extension VolumeAdapter {
    /// The mode that the file gets where the bits are cleared; nil if clearing them does the right thing by itself.
    func modeWithoutSetGroupID(_ node: NodeID, _ context: RequestContext) throws(Errno) -> UInt32? {
        let found = try fileSystem.attributes(InodeID(node))
        guard found.type == .regular, found.mode & (Mode.setGroupID | Mode.groupExecute) == Mode.setGroupID, context.uid != 0,
            context.gid != found.gid, !Self.groups(of: context.pid).contains(found.gid)
        else { return nil }
        return found.mode & Mode.permissionMask & ~(Mode.setUserID | Mode.setGroupID)
    }

    /// The supplementary groups of a thread; none if it is not to be seen from here, so that the bit goes rather than stays.
    private static func groups(of process: UInt32) -> [UInt32] {
        guard process != 0, let file = try? OwnedDescriptor.open("/proc/\(process)/status", O_RDONLY) else { return [] }
        // 65,536 groups of up to ten digits are the most that there can be.
        var text = [UInt8](repeating: 0, count: 1 << 20)
        guard let count = try? text.withMutableBytes({ (bytes) throws(Errno) in try file.read(at: 0, into: bytes) }) else { return [] }
        for line in text[..<count].split(separator: UInt8(ascii: "\n")) where line.starts(with: "Groups:".utf8) {
            return line.dropFirst("Groups:".utf8.count).split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
                .compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
        }
        return []
    }
}
