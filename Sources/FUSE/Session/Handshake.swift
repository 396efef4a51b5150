import Glibc
import Syscalls
import SystemPackage

/// INIT: the first request of a mount, in which kernel and server agree on version, flags and sizes.
package enum Handshake {
    static let majorVersion: UInt32 = 7
    /// The newest version that this server speaks; the kernel uses the smaller one.
    static let minorVersion: UInt32 = 45
    /// Older kernels lack what is relied on here (max_pages, FUSE_INIT_EXT).
    static let oldestMinorVersion: UInt32 = 36
    private static let pageSizeBytes = 4096

    /// Answers INIT on a device that still blocks.
    static func perform(_ device: OwnedDescriptor, _ configuration: SessionConfiguration) throws(Failure) -> Connection {
        let buffers = RequestBuffers(maxTransferBytes: configuration.maxTransferBytes)
        while true {
            let count: Int
            do throws(Errno) {
                count = try retryingCount { Glibc.read(device.rawValue, buffers.request.baseAddress, buffers.request.count) }
            } catch {
                if error == .noSuchFileOrDirectory { continue }
                throw Failure(systemCall: "read", object: "/dev/fuse", error)
            }
            let bytes = UnsafeRawBufferPointer(start: buffers.request.baseAddress, count: count)
            guard let request = Request(message: bytes), Opcode(rawValue: request.header.opcode) == .initialize else {
                throw Failure(.inputOutput, "the kernel's first request is not INIT", object: "/dev/fuse")
            }
            var connection: Connection?
            let reply = answer(request, configuration, buffers.replyPayload, &connection)
            let message: UnsafeRawBufferPointer
            switch reply {
            case .payload(let size): message = buffers.message(request.header.unique, error: 0, payloadSizeBytes: size)
            case .error(let error): message = buffers.message(request.header.unique, error: -error.rawValue, payloadSizeBytes: 0)
            case .none, .afterWriteback: continue
            }
            do throws(Errno) {
                _ = try retryingCount { Glibc.write(device.rawValue, message.baseAddress, message.count) }
            } catch { throw Failure(systemCall: "write", object: "/dev/fuse", error) }
            if let connection { return connection }
            if case .error = reply {
                throw Failure(.notPermitted, "this kernel's FUSE is too old", object: "/dev/fuse", hint: "Linux 5.16 or newer is needed")
            }
        }
    }

    /// The reply to INIT; `connection` is set if it settles the matter.
    package static func answer(
        _ request: Request, _ configuration: SessionConfiguration, _ buffer: UnsafeMutableRawBufferPointer,
        _ connection: inout Connection?
    ) -> Reply {
        do throws(Errno) {
            let input = try request.structure(InitInBase.self)
            if input.major > majorVersion {
                // The kernel asks again with the version that is named here.
                return try buffer.reply(initOut(configuration, [], 0, maxReadahead: 0))
            }
            guard input.major == majorVersion, input.minor >= oldestMinorVersion else { return .error(.protocolError) }
            var offered = InitFlags(rawValue: UInt64(input.flags))
            if offered.contains(.initExtended), request.payload.count >= 4 {
                offered.formUnion(InitFlags(rawValue: UInt64(request.payload.loadUnaligned(as: UInt32.self)) << 32))
            }
            let flags = configuration.flags.intersection(offered)
            let readahead = min(configuration.maxReadaheadBytes, input.maxReadahead)
            connection = Connection(
                minor: min(input.minor, minorVersion), offered: offered, flags: flags,
                maxTransferBytes: configuration.maxTransferBytes, maxReadaheadBytes: readahead)
            return try buffer.reply(initOut(configuration, flags, minorVersion, maxReadahead: readahead))
        } catch {
            return .error(error)
        }
    }

    private static func initOut(
        _ configuration: SessionConfiguration, _ flags: InitFlags, _ minor: UInt32, maxReadahead: UInt32
    ) -> InitOut {
        InitOut(
            major: majorVersion, minor: minor, maxReadahead: maxReadahead, flags: UInt32(truncatingIfNeeded: flags.rawValue),
            maxBackground: configuration.maxBackground, congestionThreshold: configuration.congestionThreshold,
            maxWrite: UInt32(configuration.maxTransferBytes), timeGranularity: configuration.timeGranularityNanoseconds,
            maxPages: UInt16(configuration.maxTransferBytes / pageSizeBytes),
            flags2: UInt32(truncatingIfNeeded: flags.rawValue >> 32))
    }
}
