import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import Server
import Syscalls

/// Says one command to the server's admin socket.
struct AdminClient {
    let socket: String

    private struct Problem: Decodable {
        var detail: String
        var code: String
    }

    /// `command` as its JSON body, or GET without one. Gives the answer's body; fails with what the server says.
    func send(_ path: String, _ command: AdminCommand?) async throws -> [UInt8] {
        let (status, hint, body) = try await exchange(path, try command.map { Array(try JSONEncoder().encode($0)) })
        if status == 200 { return body }
        let problem = try? JSONDecoder().decode(Problem.self, from: Data(body))
        throw Failure(.inputOutput, problem?.detail ?? "the server answered \(status)", hint: hint)
    }

    private func exchange(_ path: String, _ body: [UInt8]?) async throws -> (status: Int, hint: String?, body: [UInt8]) {
        let channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
        do {
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(unixDomainSocketPath: socket) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw Failure(
                .missing, "the server cannot be reached", object: socket,
                hint: "is efs-server running, and may this user use its socket? --socket and EFS_ADMIN_SOCKET name another")
        }
        return try await channel.executeThenClose { inbound, outbound in
            var head = HTTPRequestHead(version: .http1_1, method: body == nil ? .GET : .POST, uri: path)
            head.headers.add(name: "Host", value: "localhost")
            head.headers.add(name: "Connection", value: "close")
            if let body { head.headers.add(name: "Content-Length", value: String(body.count)) }
            // In one piece: the server may answer what it need not read on, and close, before a second one is sent.
            var parts: [HTTPClientRequestPart] = [.head(head)]
            if let body { parts.append(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
            try await outbound.write(contentsOf: parts + [.end(nil)])
            var status = 0
            var hint: String?
            var answer: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head):
                    status = Int(head.status.code)
                    hint = head.headers.first(name: "Efs-Hint")
                case .body(let bytes): answer += Array(bytes.readableBytesView)
                case .end: return (status, hint, answer)
                }
            }
            throw Failure(.inputOutput, "the server ended the connection", object: socket)
        }
    }
}
