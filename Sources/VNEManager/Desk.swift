internal import PolicyModel
internal import VNEHost

/// Where a manager answers other nodes: a TCP port of the network's namespace, whichever namespace that is by now.
@MainActor final class Desk {
    private let place: NetworkPlace
    private let port: UInt16
    private let log: @Sendable (String) -> Void
    /// What hears connections, and the namespace that it is in.
    private var listener: (socket: LineSocket, namespace: FileIdentity)?

    init(_ place: NetworkPlace, port: UInt16, log: @escaping @Sendable (String) -> Void) {
        (self.place, self.port, self.log) = (place, port, log)
    }

    /// Has whoever connects be answered, each by himself, until ``close()``.
    func open(_ answer: @escaping @Sendable (LineSocket, IPAddress) async -> Void) throws(ManagerError) {
        guard let namespace = NodeFiles.identity(place.namespace), listener?.namespace != namespace else { return }
        close()
        let socket: LineSocket
        do throws(HostError) {
            socket = try LineSocket.listening(at: port, in: place.namespace)
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
        listener = (socket, namespace)
        // It ends with its socket. The main thread waits for events, so that is done elsewhere.
        Task.detached { [label = place.label, log] in await Self.serve(socket, label, log, answer) }
    }

    func close() {
        listener?.socket.shut()
        listener = nil
    }

    private nonisolated static func serve(
        _ listener: LineSocket, _ label: String, _ log: @Sendable (String) -> Void,
        _ answer: @escaping @Sendable (LineSocket, IPAddress) async -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            while true {
                do throws(ManagerError) {
                    guard let (socket, peer) = try await waiting({ () throws(HostError) in try listener.accept() })
                    else { return }
                    group.addTask { await answer(socket, peer) }
                } catch {
                    log("\(label): \(error)")
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }
}

/// How many requests of each node are being answered: none takes another one's turn.
struct Visitors {
    private var counts: [IPAddress: Int] = [:]

    private static let limit = 4

    /// Whether one more may come in.
    mutating func enter(_ peer: IPAddress) -> Bool {
        guard counts[peer, default: 0] < Self.limit else { return false }
        counts[peer, default: 0] += 1
        return true
    }

    mutating func leave(_ peer: IPAddress) {
        let others = counts[peer, default: 1] - 1
        counts[peer] = others > 0 ? others : nil
    }
}
