import Glibc
import Logging
import NIOCore
import NIOPosix
package import Sealing
import ServiceLifecycle
import Syscalls
import UnixSignals

/// A server from its start to its end in order.
package struct ServerProcess: Sendable {
    let server: ServerCore
    /// Of the data listener, told once it takes connections.
    let onRunning: @Sendable (Int) -> Void
    let signals: Bool

    /// - Parameter handlesSignals: SIGTERM and SIGINT end the server in order, SIGHUP has it load its TLS certificate anew.
    package init(server: ServerCore, handlesSignals: Bool, onRunning: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.server = server
        self.onRunning = onRunning
        signals = handlesSignals
    }

    /// Serves until a signal, or until the task is told to shut down.
    package func run(starterKey: SecretBytes?) async throws {
        signal(SIGPIPE, SIG_IGN)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        do {
            try server.loadFace()
            if let starterKey { try await server.unseal(starterKey) }
            var services: [any Service] = [
                AdminListener(server: server, group: group), DataListener(server: server, group: group, onRunning: onRunning),
            ]
            if signals { services.append(ReloadService(server: server)) }
            if let address = server.options.metricsAddress {
                services.append(HealthListener(server: server, group: group, host: address.host, port: address.port))
            }
            let sweep = group.next().scheduleRepeatedTask(initialDelay: .minutes(1), delay: .minutes(10)) { [server] _ in
                Task { await server.removeExpiredUploads() }
            }
            defer { sweep.cancel() }
            let wiping = group.next().scheduleRepeatedTask(initialDelay: .seconds(5), delay: .seconds(5)) { [server] _ in
                server.cache.dropExpired(now: server.clock.monotonic())
            }
            defer { wiping.cancel() }
            let lifecycle = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: services.map { .init(service: $0) }
                        + [.init(service: StopService(gate: server.stopGate), successTerminationBehavior: .gracefullyShutdownGroup)],
                    gracefulShutdownSignals: signals ? [.sigterm, .sigint] : [], logger: server.logger))
            try await lifecycle.run()
        } catch {
            await end(group)
            throw error
        }
        await end(group)
    }

    private func end(_ group: MultiThreadedEventLoopGroup) async {
        await server.seal(reason: "the server is ending", isFinal: true)
        await server.threads.stop()
        server.releaseRoot()
        try? await group.shutdownGracefully()
    }
}

/// Loads the TLS certificate anew at each SIGHUP. One that cannot be used leaves the one before in place.
private struct ReloadService: Service {
    let server: ServerCore

    func run() async throws {
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        for await _ in hangups.cancelOnGracefulShutdown() {
            do throws(Failure) { try server.reload() } catch {
                server.logger.error("the TLS certificate cannot be loaded, the one before stays: \(error)")
            }
        }
    }
}

/// Ends when the server is told to stop, and with it the others.
private struct StopService: Service {
    let gate: Gate

    func run() async throws {
        let gate = gate
        await withGracefulShutdownHandler {
            await gate.wait()
        } onGracefulShutdown: {
            gate.open()
        }
    }
}
