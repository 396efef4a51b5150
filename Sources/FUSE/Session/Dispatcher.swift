import Synchronization
import SystemPackage

/// Turns requests into calls of the file system and their results into replies. Stateless but for the list of workers, so
/// it is called from all of them at once.
package final class Dispatcher: Sendable {
    let fileSystem: any FUSEFileSystem  // one witness call per request, which is one system call or more
    private let workers: [RunningRequest]
    /// Requests that no worker has in its hands and that are yet to be answered.
    private let pending = Mutex<Set<UInt64>>([])

    package init(_ fileSystem: any FUSEFileSystem, workers: [RunningRequest]) {
        self.fileSystem = fileSystem
        self.workers = workers
    }

    /// Handles one request. Never traps on what it holds: what is cut off or unknown gets EINVAL or ENOSYS.
    package func handle(_ request: Request, _ buffer: UnsafeMutableRawBufferPointer, on running: RunningRequest) -> Reply {
        guard let opcode = Opcode(rawValue: request.header.opcode) else { return .error(.noFunction) }
        running.begin(request.header.unique)
        defer { running.end() }
        let header = request.header
        let context = RequestContext(uid: header.uid, gid: header.gid, pid: header.pid, unique: header.unique, running: running)
        do throws(Errno) {
            return try dispatch(opcode, request, buffer, context)
        } catch {
            return opcode.isUnanswered ? .none : .error(error)
        }
    }

    private func dispatch(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        switch opcode {
        case .lookup, .forget, .batchForget, .symlink, .mknod, .mkdir, .unlink, .rmdir, .rename, .rename2, .link:
            try handleNames(opcode, request, buffer, context)
        case .getattr, .setattr, .statx, .readlink, .access, .setxattr, .getxattr, .listxattr, .removexattr, .statfs:
            try handleAttributes(opcode, request, buffer, context)
        case .open, .create, .tmpfile, .read, .write, .flush, .release, .fsync, .fallocate, .lseek, .copyFileRange, .copyFileRange64:
            try handleFiles(opcode, request, buffer, context)
        case .opendir, .readdir, .readdirplus, .releasedir, .fsyncdir, .syncfs:
            try handleDirectories(opcode, request, buffer, context)
        case .interrupt: try interrupt(request)
        case .destroy: destroy()
        case .notifyReply: .none
        case .initialize: .error(.ioError)  // was done before the first request came here
        case .getlk, .setlk, .setlkw, .bmap, .ioctl, .poll, .setupMapping, .removeMapping: .error(.noFunction)
        }
    }

    /// If no worker has the request, it is not yet known here or already answered: EAGAIN makes the kernel ask again in
    /// the first case and is ignored in the second.
    private func interrupt(_ request: Request) throws(Errno) -> Reply {
        let unique = try request.structure(InterruptIn.self).unique
        for worker in workers where worker.interrupt(unique) { return .none }
        // It goes on to its end; to be asked again and again would only keep a worker busy.
        if pending.withLock({ $0.contains(unique) }) { return .none }
        return .error(.resourceTemporarilyUnavailable)
    }

    /// From now on the request is nobody's.
    func beginPending(_ unique: UInt64) { _ = pending.withLock { $0.insert(unique) } }
    func endPending(_ unique: UInt64) { _ = pending.withLock { $0.remove(unique) } }

    private func destroy() -> Reply {
        fileSystem.destroy()
        return .done
    }
}
