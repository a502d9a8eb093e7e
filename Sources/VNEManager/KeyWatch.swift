internal import FoundationEssentials
internal import OverlayModel
internal import VNEHost

/// Finds out at a manager whether a node's key is used by somebody else, too: both are heard, by turns (``Sightings``).
actor KeyWatch {
    private let place: NetworkPlace
    private let log: @Sendable (String) -> Void
    private var sightings = Sightings()
    private var told: [Sightings.Alarm] = []

    private static let pause = Duration.seconds(2)

    init(_ place: NetworkPlace, log: @escaping @Sendable (String) -> Void) {
        self.place = place
        self.log = log
    }

    /// Goes on for as long as the task lives.
    func follow() async {
        while !Task.isCancelled {
            try? await look()
            try? await Task.sleep(for: Self.pause)
        }
        try? NodeFiles.remove(place.alarms)
    }

    private func look() async throws(ManagerError) {
        let node = NetworkNode(try KeptNode(place))
        guard node.isUp, !node.kept.isDown else { return }
        let names = Dictionary(node.kept.keys.map { ("\($0.value)", $0.key) }, uniquingKeysWith: { first, _ in first })
        // A device, a key and a place each: wg(8), `show all endpoints`.
        let shown = try await node.tunnels.wg(["show", "all", "endpoints"]).finish().output
        let now = EngineEvents.now
        for line in shown.split(separator: "\n") {
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count == 3, fields[2] != "(none)", let name = names[fields[1]] else { continue }
            sightings.see(name, over: fields[0], at: fields[2], now: now)
        }
        let alarms = sightings.alarms(now: now)
        guard alarms != told else { return }
        for alarm in alarms where !told.contains(where: { $0.node == alarm.node }) {
            log(
                "\(place.label): the key of \(alarm.node) is used from \(alarm.places.joined(separator: " and ")): somebody else "
                    + "may have it (vne-manager revoke \(alarm.node))")
        }
        told = alarms
        guard let data = try? JSONEncoder().encode(alarms) else { return }
        try NodeFiles.write(String(decoding: data, as: UTF8.self), to: place.alarms)
    }
}

extension NetworkPlace {
    /// At a manager, keys that are used by two, as JSON: ``KeyWatch``.
    var alarms: String { "\(running)/alarms.json" }
}
