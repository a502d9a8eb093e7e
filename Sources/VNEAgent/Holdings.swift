public import PolicyModel

/// Which protections hold for an application, or for any, and what holds them.
public struct ProtectionStatus: Hashable, Sendable, Codable {
    /// Which one.
    public var protection: Protection
    /// Nil where it could not be seen.
    public var held: Bool?
    /// What holds it: hooks of the kernel, or the launch.
    public var by: String?
    /// Why it does not hold, or could not be seen.
    public var reason: String?
    /// What it is.
    public var meaning: String
    /// Whether `exec --confine` holds it for what it starts, whatever the kernel's hooks do.
    public var confinable: Bool
}

/// What of the protections the kernel holds here for every application alike.
struct Holdings {
    /// Those that do not hold, and why.
    var unheld: [Protection: String]
    /// Those that could not be seen, and why. They count as not held.
    var unseen: [Protection: String] = [:]

    /// What holds the protections of applications that `exec --confine` started.
    static let confinement = "exec --confine"

    /// Which of some do not hold, in their usual order.
    func missing(_ required: Set<Protection>, confined: Bool) -> [Protection] {
        Protection.allCases.filter { protection in
            required.contains(protection) && (unheld[protection] ?? unseen[protection]) != nil
                && !(confined && Protection.byConfinement.contains(protection))
        }
    }

    /// A line for each: `families: why`.
    func reasons(for protections: [Protection]) -> [String] {
        protections.map { "\($0.rawValue): \(unheld[$0] ?? unseen[$0] ?? "it holds")" }
    }

    func statuses(confined: Bool) -> [ProtectionStatus] {
        Protection.allCases.map { protection in
            let confinable = Protection.byConfinement.contains(protection)
            var status = ProtectionStatus(
                protection: protection, held: true, by: protection.mechanism, reason: nil,
                meaning: protection.sentence, confinable: confinable)
            guard let reason = unheld[protection] ?? unseen[protection] else { return status }
            if confined, confinable {
                status.by = Self.confinement
            } else {
                status.held = unseen[protection] == nil ? false : nil
                status.by = nil
                status.reason = reason
            }
            return status
        }
    }
}

extension Agent {
    /// What the kernel holds here.
    func holdings() throws(AgentError) -> Holdings {
        var unheld = try asking { try dataplane.unheldProtections(of: nil) }
        unheld[.closing] = try asking { try host.obstacleToClosing() }
        return Holdings(unheld: unheld)
    }

    /// Refuses an application whose environment requires what does not hold for it.
    func requireProtections(
        _ required: Set<Protection>, of environment: String, for application: String, confined: Bool
    ) throws(AgentError) {
        // Asking costs time, and most environments require nothing.
        guard !required.isEmpty else { return }
        let holdings = try holdings()
        let missing = holdings.missing(required, confined: confined)
        guard missing.isEmpty else {
            throw Self.unmet(missing, of: environment, for: application, holdings: holdings)
        }
    }

    static func unmet(
        _ missing: [Protection], of environment: String, for application: String, holdings: Holdings
    ) -> AgentError {
        let verb = missing.count == 1 ? "does" : "do"
        let helps = missing.allSatisfy(Protection.byConfinement.contains)
        return AgentError(
            .unsupported,
            "the environment “\(environment)” requires \(Protection.list(missing)), which \(verb) not hold for "
                + "“\(application)”",
            hint: helps
                ? "start it with: vne-agent exec --confine --vne \(environment) …"
                : "vne-agent check says what holds here; the policy's “require” says what has to",
            details: holdings.reasons(for: missing))
    }

    /// Refuses a policy that would leave an attached application without what its environment requires then: it could
    /// neither be let through nor be denied without taking down what runs.
    func checkProtections(
        of plan: Plan, policy: Policy, attached: [AttachedApplication], holdings: Holdings
    ) throws(AgentError) {
        var places = Dictionary(attached.map { ($0.name, $0.environment) }, uniquingKeysWith: { first, _ in first })
        for change in plan.changes {
            switch change {
            case .detach(let name, _): places[name] = nil
            case .move(let name, _, let to): places[name] = to.environment
            default: break
            }
        }
        var lines: [String] = []
        var all: Set<Protection> = []
        for application in attached {
            guard let place = places[application.name], let environment = policy.environment(named: place) else {
                continue
            }
            let missing = holdings.missing(environment.requires, confined: application.confined)
            guard !missing.isEmpty else { continue }
            all.formUnion(missing)
            lines.append("\(application.name) in \(place): \(Protection.list(missing))")
        }
        guard !lines.isEmpty else { return }
        throw AgentError(
            .unsupported, "the policy requires what does not hold for \(lines.count) attached application(s)",
            hint: "detach them first, or leave it out of “require”; vne-agent check says what holds here",
            details: lines + holdings.reasons(for: Protection.allCases.filter(all.contains)))
    }
}

extension [ProtectionStatus] {
    /// A row for each.
    public var table: Table {
        Table(
            ["PROTECTION", "HELD", "BY", "EXEC --CONFINE", "WHY NOT"],
            rows: map { status in
                [
                    status.protection.rawValue, status.held.map { $0 ? "yes" : "no" } ?? "unknown", status.by ?? "-",
                    status.confinable ? "yes" : "-", status.reason ?? "-",
                ]
            })
    }
}
