import ArgumentParser
import Sealing

/// `--cipher NAME`; names in any case.
struct CipherName: ExpressibleByArgument {
    let suite: CipherSuite

    init(_ suite: CipherSuite) { self.suite = suite }

    init?(argument: String) {
        guard let suite = CipherSuite(name: argument) else { return nil }
        self.suite = suite
    }

    var defaultValueDescription: String { suite.name }
    static var allValueStrings: [String] { CipherSuite.allCases.map(\.name) }
}
