internal import OverlayModel
internal import VNEHost

/// Has BIRD speak to a neighbour, or not, by its control socket: birdc(8), `enable` and `disable`. It never waits for BIRD.
final class RoutingSwitch {
    private let path: String
    private var socket: CommandSocket?
    /// Whether an answer is still to come; BIRD says something when it is connected to, too.
    private var isBusy = false
    /// What BIRD was told since it was connected to.
    private var told: [String: Bool] = [:]
    /// Who is not spoken to.
    private(set) var unused: Set<String> = []
    private var lastLook = Duration.zero

    /// BIRD speaks to all neighbours again once it has read a configuration: it is told again as often as that.
    private static let refresh = Duration.milliseconds(250)

    /// A switch for the BIRD that has its socket there, if there is one.
    init(_ path: String) {
        self.path = path
    }

    /// What becomes readable when BIRD answers.
    var number: Int32? { socket?.number }

    /// Has BIRD not speak to the neighbours of lost links, and to the others; of those that nothing is known of it is told
    /// nothing. Says one thing at a time: call it again once it answered.
    func tell(_ links: [String: LinkHealth]) {
        hear()
        let now = EngineEvents.now
        unused = LinkHealth.unused(links, before: unused)
        if now - lastLook >= Self.refresh {
            lastLook = now
            for neighbour in unused { told[neighbour] = nil }
            connect()
        }
        guard let socket, !isBusy else { return }
        // Whoever is not to be spoken to first: packets are lost meanwhile.
        let due = links.filter { $0.value.state != .unknown && told[$0.key] != !unused.contains($0.key) }.keys
        guard let neighbour = due.first(where: unused.contains) ?? due.first else { return }
        let isUsed = !unused.contains(neighbour)
        do throws(HostError) {
            try socket.write("\(isUsed ? "enable" : "disable") \(neighbour)")
            told[neighbour] = isUsed
            isBusy = true
        } catch {
            forget()
        }
    }

    private func connect() {
        guard socket == nil, let made = try? CommandSocket(path) else { return }
        (socket, isBusy) = (made, true)
    }

    /// The last line of an answer has a space behind its number, the others a sign.
    private func hear() {
        guard let socket else { return }
        do throws(HostError) {
            for line in try socket.lines() where line.dropFirst(4).first == " " && line.prefix(4).allSatisfy(\.isNumber)
            {
                isBusy = false
            }
        } catch {
            forget()
        }
    }

    private func forget() {
        socket = nil
        told = [:]
    }
}
