import PolicyModel

/// Counters in Prometheus's text format, version 0.0.4. What was never counted has no series.
public struct Metrics: Hashable, Sendable {
    private var families: [Family] = []

    /// The metrics of a reading.
    /// - Parameter version: that of the program that tells them.
    public init(_ reading: CounterReading, version: String) {
        add("vne_info", .gauge, "What tells these metrics: always 1.") {
            [Sample([("name", reading.instance), ("version", version)], 1)]
        }
        add("vne_policy_generation", .gauge, "How many policies were published in this instance.") {
            reading.generation.map { [Sample([], UInt64($0))] } ?? []
        }
        add("vne_attached", .gauge, "1 if the application is judged by the policy, 0 while it is denied everything.") {
            reading.members.map { Sample(Self.labels(of: $0), $0.application.state == .attached ? 1 : 0) }
        }
        add(
            "vne_verdicts_total", .counter,
            "Verdicts since the application was attached. Audit mode lifts some denials."
        ) {
            reading.members.flatMap { member in
                Hook.allCases.flatMap { hook in
                    Reason.allCases.compactMap { reason in
                        member.counters.verdicts[hook]?[reason].map { count in
                            let verdict = reason.allows ? "allow" : "deny"
                            return Sample(
                                Self.labels(of: member)
                                    + [("hook", hook.name), ("reason", reason.rawValue), ("verdict", verdict)], count)
                        }
                    }
                }
            }
        }
        add("vne_audited_total", .counter, "Denials that audit mode let through since the application was attached.") {
            reading.members.flatMap { member in
                Hook.allCases.compactMap { hook in
                    member.counters.audited[hook].map { Sample(Self.labels(of: member) + [("hook", hook.name)], $0) }
                }
            }
        }
        add("vne_guarded", .gauge, "1 if the cgroup is guarded, 0 while it is half so.") {
            reading.guards.map { Sample([("cgroup", $0.cgroup)], $0.state == .attached ? 1 : 0) }
        }
        add("vne_guard_refusals_total", .counter, "What the guard of a cgroup refused since it was guarded.") {
            reading.guards.flatMap { cgroup in
                cgroup.refused.filter { $0.value > 0 }.sorted { $0.key < $1.key }
                    .map { Sample([("cgroup", cgroup.cgroup), ("hook", $0.key)], $0.value) }
            }
        }
    }

    private enum Kind: String {
        case counter
        case gauge
    }

    private struct Sample: Hashable {
        var labels: String
        var value: UInt64

        init(_ labels: [(name: String, value: String)], _ value: UInt64) {
            let pairs = labels.map { "\($0.name)=\"\($0.value.escapedLabel)\"" }
            self.labels = pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
            self.value = value
        }
    }

    private struct Family: Hashable {
        var name: String
        var kind: Kind
        var help: String
        var samples: [Sample]
    }

    private mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: () -> [Sample]) {
        let samples = samples()
        guard !samples.isEmpty else { return }
        families.append(Family(name: name, kind: kind, help: help, samples: samples))
    }

    private static func labels(of member: CounterReading.Member) -> [(name: String, value: String)] {
        [("application", member.application.name), ("environment", member.application.environment)]
    }
}

extension Metrics: CustomStringConvertible {
    /// The text, which ends with a line feed.
    public var description: String {
        families.map { family in
            "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.kind.rawValue)\n"
                + family.samples.map { "\(family.name)\($0.labels) \($0.value)\n" }.joined()
        }
        .joined()
    }
}

extension String {
    /// As a label's value stands in quotes. Other control characters stay what they are: the format has no word for them.
    fileprivate var escapedLabel: String {
        var escaped = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
