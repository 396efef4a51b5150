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
        let ending = Ending()
        ending.watch(handover)
        var isAnswered = false
        do throws(Failure) {
            let password = try handover.receivePassword()
            try LineLogHandler.install(request.log, inForeground: false)
            try serve(password, ending) { () throws(Failure) in
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
        let ending = Ending()
        try LineLogHandler.install(request.log, inForeground: true)
        try serve(password, ending) {}
    }

    /// Opens, mounts, calls `ready`, and serves. In the end all is on stable storage.
    private func serve(_ password: SecretBytes, _ ending: Ending, ready: () throws(Failure) -> Void) throws(Failure) {
        signal(SIGPIPE, SIG_IGN)
        let logger = Logger(label: "efs")
        SecretMemory.whenNotFullyLocked { logger.warning("\(Console.unlockedMemory)") }
        let options = try mountOptions(logger)
        let volume = try Volume.open(at: request.dataDirectory, password: password, options: volumeOptions(logger))
        do throws(Failure) {
            ending.beginMounting()
            let mounted = try MountedVolume.mount(volume.fileSystem, at: request.mountPoint, options)
            ending.didMount { mounted.terminate() }
            do throws(Failure) { try ready() } catch {
                // Whoever asked for the mount is gone: there shall be none.
                mounted.terminate()
            }
            try mounted.serve()
            ending.didUnmount()
        } catch {
            ending.didUnmount()
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

    private func mountOptions(_ logger: Logger) throws(Failure) -> MountOptions {
        let list = request.options
        if geteuid() != 0, list.honorsSetuid == true || list.honorsDevices == true {
            throw Failure(.notPermitted, "only root may mount with 'suid' or 'dev'", hint: "leave the option out")
        }
        var options = MountOptions()
        options.readOnly = list.readOnly
        options.allowOther = list.allowOther
        options.allowRoot = list.allowRoot
        options.accessTimes = list.accessTimePolicy
        // Who has the password of a volume made elsewhere must not become root by it.
        options.honorsSetUserID = list.honorsSetuid ?? false
        options.honorsDevices = list.honorsDevices ?? false
        options.honorsExecutables = list.honorsExecutables ?? true
        options.fileSystemName = list.fileSystemName ?? request.dataDirectory
        options.transport = list.transport ?? .auto
        options.logger = logger
        return options
    }
}
