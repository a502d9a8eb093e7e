import PolicyModel
import VNEAgent
import VNEBPF

/// The maps as tables.
extension Instance {
    func sections(of subject: DumpSubject) throws -> [DumpSection] {
        switch subject {
        case .instance: [try instanceSection()]
        case .policy: try policySections()
        case .application: [try applicationSection()]
        case .hooks: [try hookSection()]
        case .attachment: [try attachmentSection()]
        case .owner: [try ownerSection()]
        case .counters: [try counterSection()]
        case .guarded: [try guardedSection()]
        case .denials:
            [
                DumpSection(
                    name: subject.rawValue, about: try about(.denials) + "; read it with: vne-agent flows --denied",
                    table: Table([]))
            ]
        }
    }

    func rawSections(of subject: DumpSubject) throws -> [DumpSection] {
        guard let map = subject.map else { return [try hookSection()] }
        let rows = try rawEntries(of: map).map { [Self.hexadecimal($0.key), Self.hexadecimal($0.value)] }
        return [DumpSection(name: subject.rawValue, about: try about(map), table: Table(["KEY", "VALUE"], rows: rows))]
    }

    private func about(_ map: PinnedMap) throws -> String {
        let found = try information(of: map)
        return "map \(found.id), key \(found.keySize) B, value \(found.valueSize) B, at most \(found.maximumEntries)"
    }

    private func instanceSection() throws -> DumpSection {
        let record = try instanceRecord()
        return DumpSection(
            name: "instance", about: try about(.instance),
            table: Table(
                ["LAYOUT", "READY", "NETNS", "EPOCH", "PROGRAMS"],
                rows: [
                    [
                        "\(record.abiVersion)", record.isReady ? "yes" : "no", "\(record.networkNamespace)",
                        "\(record.epoch)",
                        String(record.programs, radix: 16),
                    ]
                ]))
    }

    private func applicationSection() throws -> DumpSection {
        let rows = try applications().map { application in
            [
                "\(application.cgroupID)", application.name, application.state.rawValue,
                "\(application.environment)(\(application.environmentID))", Self.text(of: application.addresses.all),
                Self.text(of: application.loopback), application.hostname ?? "-",
                application.fromPolicy ? "policy" : "command", application.egress ? "yes" : "no",
                Self.text(of: application.addresses.all.filter { application.ownsAddresses.contains($0.family) }),
                application.launcher.map { "\($0.process)" } ?? "-", application.confined ? "yes" : "no",
                application.cgroupPath,
            ]
        }
        return DumpSection(
            name: "application", about: try about(.application),
            table: Table(
                [
                    "ID", "NAME", "STATE", "ENVIRONMENT", "ADDRESS", "LOOPBACK", "HOSTNAME", "BY", "EGRESS",
                    "ADDED-ADDRESS", "LAUNCHER", "CONFINED", "CGROUP",
                ], rows: rows))
    }

    private func hookSection() throws -> DumpSection {
        var rows: [[String]] = []
        for application in try applications() {
            for attached in try attachedHooks(of: application) {
                rows.append([
                    application.name, attached.hook.rawValue, attached.hook.programName, "\(attached.programID)",
                    "\(application.cgroupID)", application.cgroupPath,
                ])
            }
        }
        for cgroup in try guardedCgroups() {
            for attached in try attachedHooks(of: cgroup) {
                rows.append([
                    "-", attached.hook.rawValue, attached.hook.guardProgramName, "\(attached.programID)",
                    "\(cgroup.id)",
                    cgroup.path,
                ])
            }
        }
        return DumpSection(
            name: "hooks", about: "programs of the instance that are attached now",
            table: Table(["APPLICATION", "HOOK", "PROGRAM", "PROG-ID", "ID", "CGROUP"], rows: rows))
    }

    private func attachmentSection() throws -> DumpSection {
        let names = try applicationNames()
        let rows = try attachments().map { attachment in
            [
                "\(attachment.cgroupID)", names[attachment.cgroupID] ?? "-", attachment.isOpen ? "open" : "deny",
                "\(attachment.environmentID)", Self.text(of: attachment.addresses?.all ?? []),
                attachment.loopback.map(Self.text) ?? "-", "\(attachment.cgroupLevel)",
                "\(attachment.networkNamespace)", "\(attachment.usedFlows)",
            ]
        }
        return DumpSection(
            name: "attachment", about: try about(.attachment),
            table: Table(
                ["ID", "APPLICATION", "STATE", "ENVIRONMENT", "ADDRESS", "LOOPBACK", "LEVEL", "NETNS", "FLOWS"],
                rows: rows, rightAligned: [8]))
    }

    private func ownerSection() throws -> DumpSection {
        let names = try applicationNames()
        let environments = try environmentNames()
        let rows = try owners().map { owner in
            [
                "\(owner.address)", names[owner.cgroupID] ?? "-", "\(owner.cgroupID)",
                "\(environments[owner.environmentID] ?? "?")(\(owner.environmentID))", "\(owner.cgroupLevel)",
            ]
        }
        return DumpSection(
            name: "owner", about: try about(.owner),
            table: Table(["ADDRESS", "APPLICATION", "ID", "ENVIRONMENT", "LEVEL"], rows: rows))
    }

    private func counterSection() throws -> DumpSection {
        let names = try applicationNames()
        var rows: [[String]] = []
        for (id, counters) in try allCounters().sorted(by: { $0.key < $1.key }) {
            for hook in Hook.allCases {
                for reason in Reason.allCases {
                    guard let count = counters.verdicts[hook]?[reason] else { continue }
                    rows.append([
                        "\(id)", names[id] ?? "-", hook.name, reason.name, reason.allows ? "allow" : "deny", "\(count)",
                    ])
                }
                guard let audited = counters.audited[hook] else { continue }
                rows.append(["\(id)", names[id] ?? "-", hook.name, "-", "audited", "\(audited)"])
            }
        }
        return DumpSection(
            name: "counters", about: try about(.counters),
            table: Table(
                ["ID", "APPLICATION", "HOOK", "REASON", "VERDICT", "COUNT"], rows: rows, rightAligned: [5]))
    }

    private func guardedSection() throws -> DumpSection {
        let rows = try guardedCgroups().map { cgroup in
            let refused = try refusals(of: cgroup).sorted { $0.key.rawValue < $1.key.rawValue }
                .map { "\($0.key.name)=\($0.value)" }
            return [
                "\(cgroup.id)", cgroup.state.rawValue, refused.isEmpty ? "-" : refused.joined(separator: ","),
                cgroup.path,
            ]
        }
        return DumpSection(
            name: "guarded", about: try about(.guarded),
            table: Table(["ID", "STATE", "REFUSED", "CGROUP"], rows: rows))
    }

    // MARK: - Names

    private func applicationNames() throws -> [UInt64: String] {
        Dictionary(try applications().map { ($0.cgroupID, $0.name) }, uniquingKeysWith: { first, _ in first })
    }

    func environmentNames() throws -> [UInt32: String] {
        Dictionary(
            try publishedImage()?.environments().map { ($0.id, $0.name) } ?? [], uniquingKeysWith: { first, _ in first }
        )
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// `10.10.2.1,fd00::1`, and `-` for none.
    private static func text(of addresses: [IPAddress]) -> String {
        addresses.isEmpty ? "-" : addresses.map(\.description).joined(separator: ",")
    }

    /// `127.1.0.0/24,fd56:4e45::`.
    private static func text(of loopback: PrivateLoopback) -> String {
        "\(IPPrefix(holding: loopback.ipv4, length: 24)),\(loopback.ipv6)"
    }
}
