/// Where each node is heard from, as time goes on. Who roams goes from one place to the next; a key that two use is heard from two
/// places by turns.
public struct Sightings: Sendable {
    /// A key that is heard from several places by turns.
    public struct Alarm: Codable, Hashable, Sendable {
        /// Whose key it is.
        public var node: String
        /// Addresses and ports, in the order of their texts.
        public var places: [String]
    }

    /// Of one node over one device.
    private struct Trail {
        var place: String
        /// When it was last heard from each place that it has left.
        var left: [String: Duration] = [:]
        /// When it came back to a place that it had left.
        var returns: [Duration] = []
        /// The places of those.
        var places: Set<String> = []
    }

    private var trails: [String: Trail] = [:]

    /// A place that was left for longer is another visit.
    private static let visit = Duration.seconds(180)
    /// So many returns within that time are two who take turns.
    private static let bound = 3
    /// How long it is told of after the last return.
    private static let memory = Duration.seconds(300)

    /// Nothing was seen.
    public init() {}

    /// A node was heard from a place.
    /// - Parameters:
    ///   - device: over which the place is the node's: each underlay has its own.
    ///   - now: of a clock that only goes forward.
    public mutating func see(_ node: String, over device: String, at place: String, now: Duration) {
        let name = "\(device) \(node)"
        guard var trail = trails[name] else {
            trails[name] = Trail(place: place)
            return
        }
        guard trail.place != place else { return }
        trail.left = trail.left.filter { now - $0.value <= Self.visit }
        trail.left[trail.place] = now
        if trail.left.removeValue(forKey: place) != nil {
            let isFirst = trail.returns.last.map { now - $0 > Self.memory } ?? true
            trail.places = (isFirst ? [] : trail.places).union([place, trail.place])
            trail.returns = trail.returns.filter { now - $0 <= Self.memory } + [now]
        }
        trail.place = place
        trails[name] = trail
    }

    /// The keys that are used in several places, by the names of their nodes.
    public func alarms(now: Duration) -> [Alarm] {
        var found: [String: Set<String>] = [:]
        for (name, trail) in trails {
            guard let last = trail.returns.last, now - last <= Self.memory, hasTurns(trail) else { continue }
            let node = name.split(separator: " ").last.map(String.init) ?? name
            found[node, default: []].formUnion(trail.places)
        }
        return found.sorted { $0.key < $1.key }.map { Alarm(node: $0.key, places: $0.value.sorted()) }
    }

    private func hasTurns(_ trail: Trail) -> Bool {
        trail.returns.indices.dropFirst(Self.bound - 1).contains { index in
            trail.returns[index] - trail.returns[index - (Self.bound - 1)] <= Self.visit
        }
    }
}
