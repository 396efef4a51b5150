import SystemPackage
import Testing

@testable import FUSE

@Suite struct HandshakeTests {
    private func initMessage(major: UInt32, minor: UInt32, flags: UInt64, extended: Bool = true) -> [UInt8] {
        var builder = MessageBuilder(.initialize)
        builder.add(InitInBase(major: major, minor: minor, maxReadahead: 131072, flags: UInt32(truncatingIfNeeded: flags)))
        if extended {
            builder.add(UInt32(truncatingIfNeeded: flags >> 32))
            builder.add(bytes: [UInt8](repeating: 0, count: 44))
        }
        return builder.message
    }

    private func answer(_ message: [UInt8]) -> (Reply, InitOut, Connection?) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
        defer { buffer.deallocate() }
        var connection: Connection?
        let reply = message.withUnsafeBytes {
            Handshake.answer(Request(message: $0)!, SessionConfiguration(), buffer, &connection)
        }
        return (reply, buffer.load(as: InitOut.self), connection)
    }

    @Test func takesWhatIsOfferedOnly() throws {
        let offered: InitFlags = [.asyncRead, .initExtended, .writebackCache, .posixLocks, .directIOAllowMmap, .atomicTruncate]
        let (_, out, connection) = answer(initMessage(major: 7, minor: 44, flags: offered.rawValue))
        let flags = InitFlags(rawValue: UInt64(out.flags) | UInt64(out.flags2) << 32)
        #expect(flags == [.asyncRead, .initExtended, .writebackCache, .directIOAllowMmap])
        #expect(out.major == 7)
        #expect(out.maxWrite == 1 << 20)
        #expect(out.maxPages == 256)
        #expect(out.timeGranularity == 1)
        #expect(connection?.minor == 44)
        #expect(connection?.flags == flags)
        #expect(connection?.maxReadaheadBytes == 131072)
    }

    @Test func neverTruncatesAtomically() {
        #expect(!InitFlags.standard.contains(.atomicTruncate))
        #expect(!InitFlags.standard.contains(.posixLocks))
        #expect(!InitFlags.standard.contains(.flockLocks))
        #expect(!InitFlags.standard.contains(.allowIDMap))
    }

    @Test func newerMajorIsAskedAgain() {
        let (reply, out, connection) = answer(initMessage(major: 8, minor: 0, flags: 0))
        guard case .payload = reply else { return #expect(Bool(false), "not answered") }
        #expect(out.major == 7)
        #expect(connection == nil)
    }

    @Test func olderIsRefused() {
        for (major, minor) in [(UInt32(6), UInt32(99)), (7, 8)] {
            let (reply, _, connection) = answer(initMessage(major: major, minor: minor, flags: 0))
            guard case .error(.protocolError) = reply else { return #expect(Bool(false), "\(major).\(minor) is taken") }
            #expect(connection == nil)
        }
    }

    /// Without FUSE_INIT_EXT what follows the flags is not looked at.
    @Test func shortMessage() {
        let (_, out, connection) = answer(initMessage(major: 7, minor: 40, flags: InitFlags.asyncRead.rawValue, extended: false))
        #expect(out.flags == 1)
        #expect(connection != nil)
    }
}
