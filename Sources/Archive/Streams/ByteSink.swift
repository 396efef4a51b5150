public import Syscalls

/// A stage that bytes are pushed through. Used by one thread at a time.
public protocol ByteSink: AnyObject {
    /// Takes all of `bytes`, which are valid during the call only.
    func write(_ bytes: UnsafeRawBufferPointer) throws(Failure)

    /// Nothing follows: writes what is held back, and what ends the format. Called once, and finishes the stage behind too.
    func finish() throws(Failure)
}

extension ByteSink {
    func write(_ bytes: [UInt8]) throws(Failure) {
        try bytes.withBytes { (bytes) throws(Failure) in try write(bytes) }
    }
}
