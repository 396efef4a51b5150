// Stands in for the FileSystem target's Volume until that is there: everything fails.
import Sealing
import Syscalls

struct KeyDerivationCost {
    static func calibrated() throws(Failure) -> KeyDerivationCost { throw Failure(.inputOutput, "not there yet") }
}

final class Volume {
    struct Information {
        var suite: CipherSuite
    }
    static func information(at path: String) throws(Failure) -> Information { throw Failure(.inputOutput, "not there yet") }
    static func create(at path: String, suite: CipherSuite, password: SecretBytes, cost: KeyDerivationCost) throws(Failure) {
        throw Failure(.inputOutput, "not there yet")
    }
}
