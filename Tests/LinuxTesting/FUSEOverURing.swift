import Glibc

/// FUSE over io_uring, which root can switch on for new mounts where the kernel has it. A mount that began with it keeps it.
package enum FUSEOverURing {
    private static let path = "/sys/module/fuse/parameters/enable_uring"

    /// Whether mounts of this process can use it from now on. Switched on for the time of the process if it was not and that can be done.
    package static let isOn: Bool = {
        guard let old = setting() else { return false }
        if old == "Y" { return true }
        guard set("Y") else {
            print("FUSE over io_uring is not tested: as root, echo Y > \(path)")
            return false
        }
        atexit { _ = FUSEOverURing.set("N") }
        return true
    }()

    private static func setting() -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        let character = fgetc(file)
        return character > 0 ? String(UnicodeScalar(UInt8(character))) : nil
    }

    private static func set(_ value: String) -> Bool {
        guard let file = fopen(path, "we") else { return false }
        let isWritten = fputs(value, file) >= 0
        return fclose(file) == 0 && isWritten
    }
}
