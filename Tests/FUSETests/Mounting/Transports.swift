import FUSE
import LinuxTesting

/// The transports that can be tested here.
enum Transports {
    static let all: [TransportChoice] = FUSEOverURing.isOn ? [.classic, .uring] : [.classic]
}
