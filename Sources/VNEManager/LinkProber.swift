internal import FoundationEssentials
internal import Glibc
internal import OverlayModel
internal import PolicyModel
internal import VNEHost

/// The prober of a node: an engine of its own, which finds out whether links forward, and has BIRD take other ways where they do
/// not. It runs in the network's namespace, and goes on without the manager as the other engines do.
public final class LinkProber {
    private struct Link {
        let plan: ProbePlan.Link
        let local: IPAddress
        let remote: IPAddress
        var health: LinkHealth
        /// What its device had carried at the last look: bytes.
        var carried: Int
    }

    private let place: NetworkPlace
    private let routing: RoutingSwitch
    private let echo: EchoSocket
    /// What is followed, and the text that said so.
    private var plan: (text: String, interval: Duration, patience: Duration)
    private var links: [Link]
    /// Places in ``links``, by the other ends' addresses.
    private var indices: [IPAddress: Int] = [:]
    /// What was reported last, and when.
    private var reported: [String: LinkHealth.State] = [:]
    private var lastReport = Duration.zero

    /// The prober of a place, in whose namespace the caller is.
    public init(_ place: NetworkPlace) throws(ManagerError) {
        self.place = place
        do throws(HostError) {
            echo = try EchoSocket()
        } catch {
            throw ManagerError(.failed, "\(error)")
        }
        routing = RoutingSwitch("\(place.running)/\(Routing.socketFile)")
        (plan, links) = (("", .zero, .zero), [])
        try readPlan()
    }

    /// Takes over a plan that is another one by now; of links that stay the same, what is known stays.
    private func readPlan() throws(ManagerError) {
        let file = "\(place.running)/\(Probing.planFile)"
        guard let text = try NodeFiles.text(file) else { throw KeptNode.missing(Probing.planFile, place) }
        guard text != plan.text else { return }
        let read: ProbePlan
        do {
            read = try JSONDecoder().decode(ProbePlan.self, from: Data(text.utf8))
        } catch {
            throw ManagerError(.invalid, "cannot read \(file): \(error)")
        }
        let interval = Duration.milliseconds(read.interval)
        let isAsPatient = (interval, read.patience) == (plan.interval, plan.patience)
        var links: [Link] = []
        for link in read.links {
            guard let local = IPAddress(link.local), let remote = IPAddress(link.remote) else {
                throw ManagerError(.invalid, "\(file) has no addresses of \(link.neighbour)")
            }
            if isAsPatient, let known = self.links.first(where: { $0.plan == link }) {
                links.append(known)
            } else {
                let health = LinkHealth(link, of: read)
                links.append(Link(plan: link, local: local, remote: remote, health: health, carried: 0))
            }
        }
        (self.links, plan) = (links, (text, interval, read.patience))
        indices = Dictionary(links.indices.map { (links[$0].remote, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Probes until the process ends.
    public func run() -> Never {
        var last = EngineEvents.now
        var (next, due) = (last, last)
        while true {
            while EngineEvents.now < next {
                let heard = Readiness.wait(for: [echo.number] + [routing.number].compactMap { $0 }, until: next)
                hear()
                if heard.contains(where: { $0 != echo.number }) { routing.tell(health) }
            }
            // What came while this process did not run is no silence.
            hear()
            let now = EngineEvents.now
            for index in links.indices { links[index].health.pass(now - last) }
            let health = health
            routing.tell(health)
            tellOthers(health)
            // What was missed is not made up for.
            if now >= due {
                probe()
                due = max(due + plan.interval, now)
            }
            last = now
            next = max(next + plan.interval / Self.stepsOfInterval, now)
        }
    }

    /// How often links are looked at in an interval: a link that is lost is left as soon as that is known, and not only when
    /// the next probe is due.
    private static let stepsOfInterval = 5

    private var health: [String: LinkHealth] {
        Dictionary(links.map { ($0.plan.neighbour, $0.health) }, uniquingKeysWith: { first, _ in first })
    }

    /// The most that is heard at once: whoever sends more than that keeps nobody from being probed.
    private static let heardAtOnce = 4096

    private func hear() {
        for _ in 0..<Self.heardAtOnce {
            guard let answer = echo.receive() else { return }
            guard let index = indices[answer.peer] else { continue }
            let isLarge = answer.bytes > EchoSocket.least
            links[index].health.hear(isLarge ? .large : .small, after: answer.roundTrip)
        }
    }

    private func probe() {
        let carried = Self.carried()
        for index in links.indices {
            let link = links[index]
            let bytes = carried[link.plan.device] ?? 0
            // A device that was made anew counts from nothing.
            let fresh = link.carried > 0 && bytes > link.carried ? bytes - link.carried : 0
            links[index].carried = bytes
            for size in links[index].health.due(carried: fresh) {
                // What the kernel does not take is as good as lost.
                _ = echo.send(
                    to: link.remote, from: link.local, bytes: size == .large ? link.plan.mtu ?? 0 : EchoSocket.least)
            }
        }
    }

    /// Says what the links are, for whoever asks how the node runs; and looks for another plan as often.
    private func tellOthers(_ health: [String: LinkHealth]) {
        let now = EngineEvents.now
        let states = health.mapValues(\.state)
        guard states != reported || now - lastReport >= .seconds(1) else { return }
        for (neighbour, state) in states.sorted(by: { $0.key < $1.key }) where reported[neighbour] != state {
            // The system's log, as of the other engines.
            if reported[neighbour] != nil { note("the link to \(neighbour) is \(state.rawValue)") }
        }
        (reported, lastReport) = (states, now)
        let links = links.map { link in
            let roundTrip = link.health.roundTrip.map { $0 / .milliseconds(1) }
            let isUnused = routing.unused.contains(link.plan.neighbour)
            return (
                link.plan.neighbour,
                LinkReport.Link(state: link.health.state, roundTrip: roundTrip, isUnused: isUnused)
            )
        }
        // Nothing depends on either: a plan that cannot be read leaves the one before.
        let report = LinkReport(
            seconds: Int(now.components.seconds), links: Dictionary(links, uniquingKeysWith: { first, _ in first }))
        try? report.write(to: "\(place.running)/\(Probing.reportFile)")
        try? readPlan()
    }

    private func note(_ text: String) {
        unsafe withVaList([]) { unsafe vsyslog(LOG_NOTICE, text.replacing("%", with: "%%"), $0) }
    }

    /// What each device of the namespace carried so far, both ways, in bytes: proc_pid_net(5), `dev`.
    private static func carried() -> [String: Int] {
        guard let text = try? NodeFiles.text("/proc/self/net/dev") else { return [:] }
        var carried: [String: Int] = [:]
        for line in text.split(separator: "\n").dropFirst(2) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let name = parts.first?.trimmingPrefix(while: { $0 == " " }) else { continue }
            let fields = parts[1].split(separator: " ")
            guard fields.count > 8, let received = Int(fields[0]), let sent = Int(fields[8]) else { continue }
            carried[String(name)] = received + sent
        }
        return carried
    }
}
