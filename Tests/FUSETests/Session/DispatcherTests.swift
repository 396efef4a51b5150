import SystemPackage
import Testing

@testable import FUSE

@Suite struct DispatcherTests {
    /// A file system that only counts how it is called.
    private final class Recorder: FUSEFileSystem {}

    /// Answers one message, placed so that a read past its end is past the end of its memory block.
    private func answer(_ message: [UInt8], _ dispatcher: Dispatcher, _ running: RunningRequest) -> Reply? {
        let reply = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { reply.deallocate() }
        return message.withUnsafeBytes { bytes in
            guard let request = Request(message: bytes) else { return nil }
            return dispatcher.handle(request, reply, on: running)
        }
    }

    private func withLength(_ message: [UInt8]) -> [UInt8] {
        var message = message
        let count = UInt32(message.count)
        if message.count >= 4 { withUnsafeBytes(of: count) { message.replaceSubrange(0..<4, with: $0) } }
        return message
    }

    /// Every request cut at every byte, with a length field that tells the truth: no trap, and an error where something is
    /// missing.
    @Test func everyTruncationIsRefused() {
        let running = RunningRequest()
        for sample in MessageBuilder.samples {
            let dispatcher = Dispatcher(MemoryFileSystem(), workers: [running])
            let whole = sample.message
            for count in 0..<whole.count {
                let cut = withLength(Array(whole.prefix(count)))
                switch answer(cut, dispatcher, running) {
                case nil: #expect(count < 40)
                case .error(let error)?: #expect(error == .invalidArgument, "opcode \(sample.opcode) cut at \(count)")
                case Reply.none?: #expect(Opcode(rawValue: sample.opcode)!.isUnanswered)
                case .payload?, .afterWriteback?: Issue.record("opcode \(sample.opcode) cut at \(count) of \(whole.count) was believed")
                }
            }
            if case .error(.invalidArgument)? = answer(whole, dispatcher, running) {
                Issue.record("opcode \(sample.opcode) is refused whole")
            }
        }
    }

    @Test func wrongLengthFieldIsRefused() {
        let running = RunningRequest()
        let dispatcher = Dispatcher(MemoryFileSystem(), workers: [running])
        var message = MessageBuilder.samples[0].message
        message[0] += 1
        #expect(answer(message, dispatcher, running) == nil)
    }

    /// Random bytes after a valid header never trap.
    @Test func randomBodies() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("randomBodies seed \(seed)")
        var generator = SplitMix(state: seed)
        let running = RunningRequest()
        let dispatcher = Dispatcher(MemoryFileSystem(), workers: [running])
        for _ in 0..<5000 {
            var builder = MessageBuilder(.lookup)
            builder.opcode = UInt32.random(in: 0...60, using: &generator)
            builder.node = UInt64.random(in: 0...3, using: &generator)
            let count = Int.random(in: 0...200, using: &generator)
            builder.body = (0..<count).map { _ in Bool.random(using: &generator) ? 0 : UInt8.random(in: 0...255, using: &generator) }
            // The sizes of the test's own file system stay small: offsets are not its business here.
            let opcode = Opcode(rawValue: builder.opcode)
            if [.write, .setattr, .fallocate, .copyFileRange, .copyFileRange64].contains(opcode) { continue }
            _ = answer(builder.message, dispatcher, running)
        }
    }

    @Test func whatIsNotImplementedIsENOSYS() {
        let running = RunningRequest()
        let dispatcher = Dispatcher(Recorder(), workers: [running])
        for sample in MessageBuilder.samples {
            let opcode = Opcode(rawValue: sample.opcode)!
            guard ![.forget, .batchForget, .destroy, .interrupt].contains(opcode) else { continue }
            guard case .error(.noFunction)? = answer(sample.message, dispatcher, running) else {
                Issue.record("\(opcode) does not answer ENOSYS")
                continue
            }
        }
        for opcode in [Opcode.getlk, .setlk, .setlkw, .bmap, .ioctl, .poll, .setupMapping, .removeMapping] {
            guard case .error(.noFunction)? = answer(MessageBuilder(opcode).message, dispatcher, running) else {
                Issue.record("\(opcode) does not answer ENOSYS")
                continue
            }
        }
        var unknown = MessageBuilder(.lookup)
        unknown.opcode = 4711
        guard case .error(.noFunction)? = answer(unknown.message, dispatcher, running) else {
            Issue.record("an unknown opcode does not answer ENOSYS")
            return
        }
    }

    @Test func interruptFindsItsRequest() {
        let running = RunningRequest()
        let idle = RunningRequest()
        let dispatcher = Dispatcher(MemoryFileSystem(), workers: [idle, running])
        running.begin(99)
        var builder = MessageBuilder(.interrupt)
        builder.add(InterruptIn(unique: 99))
        guard case Reply.none? = answer(builder.message, dispatcher, idle) else {
            Issue.record("a request that runs is not found")
            return
        }
        #expect(running.isInterrupted(99))
        #expect(!running.isInterrupted(100))
        running.end()
        guard case .error(.resourceTemporarilyUnavailable)? = answer(builder.message, dispatcher, idle) else {
            Issue.record("an interrupt for nothing is not asked for again")
            return
        }
    }

    @Test func forgetsNoMoreThanArrived() {
        var message = MessageBuilder(.batchForget)
        message.add(BatchForgetIn(count: .max, dummy: 0))
        message.add(ForgetOne(node: 5, count: 6))
        message.add(bytes: [1, 2, 3])
        message.message.withUnsafeBytes { bytes in
            let request = Request(message: bytes)!
            let list = ForgetList(request.payload, claimedCount: Int(UInt32.max))
            #expect(list.map(\.node) == [NodeID(5)])
            #expect(list.map(\.lookups) == [6])
        }
    }
}

/// Deterministic random numbers from a printed seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
