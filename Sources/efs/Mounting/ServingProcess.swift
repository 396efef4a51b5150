import FileSystem
import Glibc
import Logging
import Mount
import Sealing
import Syscalls

/// The process that serves a mount until it is unmounted or told to end by a signal.
struct ServingProcess {
    let request: MountRequest

    /// In the background: takes the password from the handover, and answers there once the mount serves.
    func run(handover: Handover) throws(Failure) {
        var isAnswered = false
        do throws(Failure) {
            let password = try handover.receivePassword()
            try LineLogHandler.install(request.log, inForeground: false)
            try serve(password) { () throws(Failure) in
                isAnswered = true
                try handover.send(.ready(keysMayBeSwapped: !SecretMemory.isFullyLocked))
            }
        } catch {
            // After the answer nobody reads the failure but the log.
            if isAnswered {
                Logger(label: "efs").critical("\(error)")
            } else {
                try handover.send(Handover.Answer(error))
            }
            throw error
        }
    }

    /// In the foreground.
    func run(password: SecretBytes) throws(Failure) {
        try LineLogHandler.install(request.log, inForeground: true)
        try serve(password) {}
    }

    /// Opens, mounts, calls `ready`, and serves. In the end all is on stable storage.
    private func serve(_ password: SecretBytes, ready: () throws(Failure) -> Void) throws(Failure) {
        let signals = EndSignals()  // blocked before a thread exists, so that none takes them
        signal(SIGPIPE, SIG_IGN)
        let logger = Logger(label: "efs")
        SecretMemory.whenNotFullyLocked { logger.warning("\(Console.unlockedMemory)") }
        let volume = try Volume.open(at: request.dataDirectory, password: password, options: volumeOptions(logger))
        do throws(Failure) {
            let mounted = try MountedVolume.mount(volume.fileSystem, at: request.mountPoint, mountOptions(logger))
            signals.onEach { mounted.terminate() }
            do throws(Failure) { try ready() } catch {
                // Whoever asked for the mount is gone: there shall be none.
                mounted.terminate()
            }
            try mounted.serve()
        } catch {
            do throws(Failure) { try volume.close() } catch let second { logger.critical("closing the volume failed: \(second)") }
            throw error
        }
        try volume.close()
    }

    private func volumeOptions(_ logger: Logger) -> VolumeOptions {
        var options = VolumeOptions()
        options.isReadOnly = request.options.readOnly
        options.accessTimes = request.options.accessTimePolicy
        options.acceptsRollback = request.options.acceptsRollback
        options.expectedGeneration = request.options.expectedGeneration
        if let cache = request.options.cacheMebibytes { options.cacheBytes = cache << 20 }
        options.report = { logger.error("\($0)") }
        return options
    }

    private func mountOptions(_ logger: Logger) -> MountOptions {
        let list = request.options
        var options = MountOptions()
        options.readOnly = list.readOnly
        options.allowOther = list.allowOther
        options.allowRoot = list.allowRoot
        options.accessTimes = list.accessTimePolicy
        // As root a mount is like any other file system's; fusermount3 forbids both to other users.
        options.honorsSetUserID = list.honorsSetuid ?? (geteuid() == 0)
        options.honorsDevices = list.honorsDevices ?? (geteuid() == 0)
        options.honorsExecutables = list.honorsExecutables ?? true
        options.fileSystemName = list.fileSystemName ?? request.dataDirectory
        options.logger = logger
        return options
    }
}

/// SIGTERM, SIGINT and SIGHUP, which end a mount. They are blocked from `init` on, in this thread and in all that start later, and
/// one thread waits for them: so the work that ends a mount runs as ordinary code, not in a handler.
struct EndSignals {
    private let set: sigset_t

    init() {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        self.set = set
    }

    /// Calls `body` for each signal from now on, one that came before included. The thread ends with the process.
    func onEach(_ body: @escaping @Sendable () -> Void) {
        let set = set
        _ = WorkerThread(name: "efs-signals") {
            var set = set
            var signal: Int32 = 0
            while true {
                if sigwait(&set, &signal) == 0 { body() }
            }
        }
    }
}
