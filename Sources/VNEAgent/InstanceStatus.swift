public import PolicyModel

/// What an instance is and does.
public struct InstanceStatus: Hashable, Sendable, Codable {
    /// The published policy.
    public struct PolicySummary: Hashable, Sendable, Codable {
        /// The file's name as it was given to `apply`.
        public var source: String
        /// Counts publications of the instance.
        public var generation: UInt32
        /// How many environments it has.
        public var environments: Int
        /// How many applications it names.
        public var applications: Int
    }
    /// The instance's name.
    public var instance: String
    /// Nil if none is published: then nothing can be attached.
    public var policy: PolicySummary?
    /// The attached applications, by name.
    public var applications: [ApplicationStatus]
    /// The guarded cgroups, by path.
    public var guards: [GuardStatus]
    /// What is not as it should be, a sentence each.
    public var problems: [String]
}

/// What an attached application is and does.
public struct ApplicationStatus: Hashable, Sendable, Codable {
    /// How often one hook judged for one reason.
    public struct Count: Hashable, Sendable, Codable {
        /// The hook's word, such as `connect`.
        public var hook: String
        /// The reason's word, such as `own-environment`.
        public var reason: String
        /// Whether the reason allows.
        public var allows: Bool
        /// How often.
        public var count: UInt64
    }
    /// What its hooks have judged since it was attached.
    public struct Counters: Hashable, Sendable, Codable {
        /// All that was let through.
        public var allowed: UInt64
        /// All that was denied in effect.
        public var denied: UInt64
        /// Denials that audit mode let through.
        public var audited: UInt64
        /// By hook and reason.
        public var counts: [Count]
    }
    /// Its name.
    public var name: String
    /// Its environment.
    public var environment: String
    /// Its addresses, IPv4 first; one of each family at most.
    public var addresses: [IPAddress]
    /// What its 127.0.0.1 and its ::1 are to the kernel.
    public var loopback: [IPAddress]
    /// The name that resolves to its addresses.
    public var hostname: String?
    /// Relative to the cgroup2 mount.
    public var cgroup: String
    /// Whether that cgroup still is there.
    public var cgroupExists: Bool
    /// Whether a process lives in it.
    public var populated: Bool
    /// How far the attachment is; unless `attached`, everything is denied.
    public var state: AttachedApplication.State
    /// Why everything is denied although it is attached: its environment is gone, or has lost an address of it.
    public var stranded: Bool
    /// Whether the policy file names it.
    public var fromPolicy: Bool
    /// Whether the egress hook is attached.
    public var egress: Bool
    /// Whether `exec --confine` started it.
    public var confined: Bool
    /// What it is kept from besides what its hooks judge; nil in lists, which do not ask.
    public var protections: [ProtectionStatus]?
    /// Nil in lists, which do not read them.
    public var counters: Counters?

    /// One word for tables.
    public var word: String {
        if !cgroupExists { return "cgroup-gone" }
        if state != .attached { return state.rawValue }
        return stranded ? "stranded" : "attached"
    }
}

extension InstanceStatus: CustomStringConvertible {
    /// For people: a line on the policy, a table of applications, the problems.
    public var description: String {
        var lines: [String] = []
        if let policy {
            lines.append(
                "instance \(instance): policy \(policy.source), generation \(policy.generation), "
                    + "\(policy.environments) environment(s), \(policy.applications) named application(s)")
        } else {
            lines.append("instance \(instance): no policy is published")
        }
        lines.append(applications.isEmpty ? "no application is attached" : "\n\(applications.table)")
        if !guards.isEmpty { lines.append("\n\(guards.table)") }
        if !problems.isEmpty { lines.append("") }
        return (lines + problems.map { "problem: \($0)" }).joined(separator: "\n")
    }
}

extension [ApplicationStatus] {
    /// A row for each; allowed and denied where they were read.
    public var table: Table {
        let counted = contains { $0.counters != nil }
        var header = ["APPLICATION", "ENVIRONMENT", "ADDRESS", "HOSTNAME", "STATE", "BY", "EGRESS"]
        if counted { header += ["ALLOWED", "DENIED"] }
        let asked = contains { $0.protections != nil }
        if asked { header.append("PROTECTIONS") }
        header.append("CGROUP")
        let rows = map { application in
            var row = [
                application.name, application.environment,
                application.addresses.map(\.description).joined(separator: ","),
                application.hostname ?? "-",
                application.word, application.fromPolicy ? "policy" : "command", application.egress ? "yes" : "no",
            ]
            if counted {
                row += [
                    application.counters.map { "\($0.allowed)" } ?? "-",
                    application.counters.map { "\($0.denied)" } ?? "-",
                ]
            }
            if asked {
                let held = (application.protections ?? []).filter { $0.held == true }
                row.append(held.isEmpty ? "-" : held.map(\.protection.rawValue).joined(separator: ","))
            }
            row.append(application.cgroup)
            return row
        }
        return Table(header, rows: rows, rightAligned: counted ? [7, 8] : [])
    }
}

extension ApplicationStatus: CustomStringConvertible {
    /// For people: what it is, and a table of its counters.
    public var description: String {
        var lines = ["\([self].table)"]
        guard let counters else { return lines[0] }
        lines.append("")
        if counters.counts.isEmpty {
            lines.append("its hooks have judged nothing yet")
        } else {
            let rows = counters.counts.map { [$0.hook, $0.reason, $0.allows ? "allow" : "deny", "\($0.count)"] }
            lines.append("\(Table(["HOOK", "REASON", "VERDICT", "COUNT"], rows: rows, rightAligned: [3]))")
        }
        if let protections { lines += ["", "\(protections.table)"] }
        if counters.audited > 0 { lines.append("audit mode let \(counters.audited) denial(s) through") }
        return lines.joined(separator: "\n")
    }
}
