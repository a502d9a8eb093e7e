internal import FoundationEssentials
internal import OverlayModel
internal import VNEHost

/// What the prober of a node last said of its links: a file that is replaced once a second, and whenever a link changes.
struct LinkReport: Codable {
    /// One link.
    struct Link: Codable {
        /// What it is.
        var state: LinkHealth.State
        /// Milliseconds from a probe to its answer; nil before the first one.
        var roundTrip: Double?
        /// Whether BIRD was told not to speak to the neighbour.
        var isUnused: Bool
    }

    /// When it was written, by the monotonic clock.
    var seconds: Int
    /// By BIRD's names of the neighbours.
    var links: [String: Link]
    /// A report that is older than that is nobody's any more.
    private static let age = 3

    /// What was written; nothing where there is no report, or an old one.
    init(_ path: String) {
        let text = (try? NodeFiles.text(path)) ?? ""
        let read = try? JSONDecoder().decode(LinkReport.self, from: Data(text.utf8))
        let now = Int(EngineEvents.now.components.seconds)
        self.init(seconds: now, links: read.flatMap { now - $0.seconds <= Self.age ? $0.links : nil } ?? [:])
    }

    init(seconds: Int, links: [String: Link]) {
        self.seconds = seconds
        self.links = links
    }

    func write(to path: String) throws(ManagerError) {
        guard let data = try? JSONEncoder().encode(self) else { return }
        try NodeFiles.write(String(decoding: data, as: UTF8.self), to: path)
    }
}
