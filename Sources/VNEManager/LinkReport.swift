internal import FoundationEssentials
internal import OverlayModel

/// What the prober of a node last said of its links: a file that is replaced once a second, and whenever a link changes.
struct LinkReport: Codable {
    /// One link.
    struct Link: Codable {
        /// What it is.
        var state: LinkHealth.State
        /// Milliseconds from a probe to its answer; nil before the first one.
        var roundTrip: Double?
    }

    /// By BIRD's names of the neighbours.
    var links: [String: Link]

    /// What was written; nothing where there is no report.
    init(_ path: String) {
        let text = (try? NodeFiles.text(path)) ?? ""
        self = (try? JSONDecoder().decode(LinkReport.self, from: Data(text.utf8))) ?? LinkReport(links: [:])
    }

    init(links: [String: Link]) {
        self.links = links
    }

    func write(to path: String) throws(ManagerError) {
        guard let data = try? JSONEncoder().encode(self) else { return }
        try NodeFiles.write(String(decoding: data, as: UTF8.self), to: path)
    }
}
