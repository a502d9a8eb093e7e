import PolicyModel

/// Reads the topology file. Checks between parts of it come last: ``TopologyChecks``.
struct TopologyReader: DocumentReader {
    var errors: [DocumentError] = []
    var nearest = NearestWord()

    static let unbuiltKeys = ["clients", "sites", "bridges", "egress", "multicast"]

    private static let keys = [
        "network", "addressSpace", "subnets", "underlays", "environments", "applications", "managers", "hosts", "store",
        "failureDetection",
    ]

    /// The whole file; nil if it is none at all. What it returns is valid only if no error was reported.
    mutating func topology(_ root: YAMLNode?, source: String) -> Topology? {
        let what = "a topology: a mapping with network, addressSpace, subnets, underlays and managers"
        guard let root else {
            if errors.isEmpty {
                report(YAMLMark(line: 1, column: 1), "expected \(what); found nothing")
            }
            return nil
        }
        guard let fields = fields(root, expected: what, keys: Self.keys) else { return nil }
        for key in ["network", "addressSpace", "subnets", "underlays", "managers"] {
            require(key, in: fields, of: "the topology")
        }
        var draft = TopologyDraft()
        let network = fields["network"].flatMap { name($0) }
        draft.space = fields["addressSpace"].flatMap { addressSpace($0) }
        if let space = draft.space { refuseIPv6(space) }
        if let node = fields["subnets"] { subnets(node, into: &draft) }
        if let node = fields["underlays"] { underlays(node, into: &draft) }
        draft.policy = PolicySection(
            environments: fields["environments"], applications: fields["applications"], space: draft.space)
        errors += draft.policy.errors
        if let node = fields["managers"] { nodes(node, .manager, into: &draft) }
        if let node = fields["hosts"] { nodes(node, .host, into: &draft) }
        if let node = fields["store"] {
            draft.store = (names(node, expected: "a manager or a list of them") ?? [], node.mark)
        }
        let detection = fields["failureDetection"].flatMap { failureDetection($0) } ?? .standard

        var checks = TopologyChecks(draft: draft, nearest: nearest)
        checks.run(isComplete: errors.isEmpty)
        errors += checks.errors
        guard let network, let nodeSubnet = draft.nodeSubnet?.value else { return nil }
        return Topology(
            network: network, addressSpace: (draft.space ?? []).map(\.value), nodeSubnet: nodeSubnet,
            clientSubnet: draft.clientSubnet?.value,
            linkSubnet: draft.linkSubnet?.value ?? Topology.standardLinkSubnet, underlays: checks.underlays,
            environments: draft.policy.environments.map(\.environment),
            applications: draft.policy.applications.map(\.application), nodes: checks.nodes, store: checks.store,
            failureDetection: detection, source: source)
    }

    private mutating func refuseIPv6(_ space: [Marked<IPPrefix>]) {
        for prefix in space where prefix.value.family == .ipv6 {
            report(prefix.mark, "IPv6 in the address space of a network is not built in this version")
        }
    }

    // MARK: Subnets

    private mutating func subnets(_ node: YAMLNode, into draft: inout TopologyDraft) {
        guard
            let fields = fields(
                node, expected: "subnets: a mapping with nodes", keys: ["nodes", "clients", "links"])
        else { return }
        require("nodes", in: fields, of: "the mapping of subnets")
        draft.nodeSubnet = fields["nodes"].flatMap { prefix($0) }
        draft.clientSubnet = fields["clients"].flatMap { prefix($0) }
        if let links = fields["links"].flatMap({ prefix($0) }) { draft.linkSubnet = links }
    }

    // MARK: Underlays

    private mutating func underlays(_ node: YAMLNode, into draft: inout TopologyDraft) {
        guard let entries = entries(node, expected: "underlays by name") else { return }
        for (key, value) in entries {
            draft.underlayNames.insert(key.value)
            guard isName(key) else { continue }
            var underlay = UnderlayDraft(name: key)
            // Nothing need be said of one.
            if value.content != .scalar("", plain: true) {
                guard
                    let fields = fields(
                        value, expected: "an underlay: a mapping with use, mtu or port, or nothing",
                        keys: ["use", "mtu", "port"])
                else { continue }
                if let use = fields["use"].flatMap({ word($0, of: Underlay.Use.self) }) { underlay.use = use }
                if let mtu = fields["mtu"].flatMap({ number($0, from: 1280, to: 65_535) }) { underlay.mtu = mtu }
                if let port = fields["port"].flatMap({ number($0, from: 1, to: 65_535) }) {
                    underlay.port = UInt16(port)
                }
            }
            draft.underlays.append(underlay)
        }
    }

    private mutating func failureDetection(_ node: YAMLNode) -> FailureDetection? {
        guard
            let fields = fields(
                node, expected: "failureDetection: a mapping with interval or multiplier",
                keys: ["interval", "multiplier"])
        else { return nil }
        var detection = FailureDetection.standard
        // Less breaks connections of a busy host; more is an outage that a person notices.
        if let node = fields["interval"], let interval = milliseconds(node, from: 30, to: 10_000) {
            detection.interval = interval
        }
        if let multiplier = fields["multiplier"].flatMap({ number($0, from: 2, to: 20) }) {
            detection.multiplier = multiplier
        }
        return detection
    }

    // MARK: Words and numbers

    /// Whether a key is a name; says so if it is none.
    mutating func isName(_ key: Marked<String>) -> Bool {
        name(YAMLNode(content: .scalar(key.value, plain: true), mark: key.mark)) != nil
    }

    private mutating func number(_ node: YAMLNode, from least: Int, to most: Int) -> Int? {
        let what = "a number from \(least) to \(most)"
        guard let text = text(node, expected: what) else { return nil }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text), (least...most).contains(number)
        else {
            expected(what, at: node)
            return nil
        }
        return number
    }

    private mutating func milliseconds(_ node: YAMLNode, from least: Int, to most: Int) -> Int? {
        let what = "a time from \(least)ms to \(most)ms, such as 100ms"
        guard let text = text(node, expected: what) else { return nil }
        let digits = text.dropLast(2)
        guard text.hasSuffix("ms"), digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(digits),
            (least...most).contains(number)
        else {
            let isPlain = Int(text).map { (least...most).contains($0) } ?? false
            expected(what, at: node, suggestion: isPlain ? "\(text)ms" : nil)
            return nil
        }
        return number
    }
}
