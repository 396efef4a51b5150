import NIOCore
import NIOPosix
import NIOSSL

/// Connections that are kept for the next request, at most so many in all. Who finds none free waits, first come first served.
actor ConnectionPool {
    private let configuration: ClientConfiguration
    private let context: NIOSSLContext
    private let group: any EventLoopGroup
    private var idle: [Connection] = []
    /// Connections in use, being opened, or idle.
    private var count = 0
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var isShutDown = false

    init(_ configuration: ClientConfiguration, on group: any EventLoopGroup) throws {
        self.configuration = configuration
        self.group = group
        context = try TransportSecurity.context(configuration.bundle)
    }

    /// A connection for one request, and whether it has served before. Give it back with `release`.
    func acquire(fresh: Bool = false) async throws -> (Connection, wasUsed: Bool) {
        while true {
            if isShutDown { throw CancellationError() }
            while !fresh, let connection = idle.popLast() {
                if connection.isUsable { return (connection, true) }
                connection.close()
                count -= 1
            }
            if fresh, count >= configuration.largestConnectionCount, !idle.isEmpty {
                idle.removeFirst().close()
                count -= 1
            }
            if count < configuration.largestConnectionCount { break }
            await withCheckedContinuation { waiters.append($0) }
        }
        count += 1
        do {
            return (try await Connection.open(configuration, context, on: group), false)
        } catch {
            count -= 1
            wakeOne()
            throw error
        }
    }

    func release(_ connection: Connection, keeping: Bool) {
        if keeping, connection.isUsable, !isShutDown {
            idle.append(connection)
        } else {
            connection.close()
            count -= 1
        }
        wakeOne()
    }

    private func wakeOne() {
        if !waiters.isEmpty { waiters.removeFirst().resume() }
    }

    func shutDown() {
        isShutDown = true
        for connection in idle { connection.close() }
        count -= idle.count
        idle.removeAll()
        for waiter in waiters { waiter.resume() }
        waiters.removeAll()
    }
}
