import Testing

@testable import FUSE

@Suite struct NotificationTests {
    private func header(_ message: [UInt8]) -> OutHeader { message.withUnsafeBytes { $0.loadUnaligned(as: OutHeader.self) } }

    @Test func lengthsAndCodes() {
        let cases: [(Notification, Int32, Int)] = [
            (.invalidateInode(NodeID(5), offset: -1, length: 0), 2, 40),
            (.invalidateEntry(parent: .root, name: Array("name".utf8)), 3, 37),
            (.delete(parent: .root, child: NodeID(9), name: Array("x".utf8)), 6, 42),
            (.store(NodeID(5), offset: 4096, bytes: [1, 2, 3]), 4, 43),
        ]
        for (notification, code, length) in cases {
            let message = notification.encoded()
            #expect(message.count == length)
            #expect(header(message).error == code)
            #expect(header(message).unique == 0)
            #expect(Int(header(message).lengthBytes) == length)
        }
    }

    @Test func namesEndInNul() {
        let message = Notification.invalidateEntry(parent: NodeID(3), name: Array("ab".utf8)).encoded()
        #expect(message.suffix(3) == [0x61, 0x62, 0])
    }
}
