import FUSE
import Glibc

/// The transports that can be tested here. As root the one over io_uring is switched on for the time of the tests, where the kernel has it.
enum Transports {
    static let all: [TransportChoice] = {
        guard let old = setting() else { return [.classic] }
        if old == "Y" { return [.classic, .uring] }
        guard set("Y") else {
            print("FUSE over io_uring is not tested: as root, echo Y > \(path)")
            return [.classic]
        }
        atexit { _ = Transports.set("N") }
        return [.classic, .uring]
    }()

    private static let path = "/sys/module/fuse/parameters/enable_uring"

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
