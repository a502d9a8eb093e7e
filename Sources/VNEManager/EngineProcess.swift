internal import FoundationEssentials
internal import Glibc

/// A process of an engine, which goes on without the manager.
///
/// Its number alone says nothing once it has ended: it is known by what it was started with, too.
struct EngineProcess: Hashable, Sendable {
    let id: pid_t
    private let place: NetworkPlace
    private let program: String
    /// What the file with its number is called, without its ending: so is the one with what it said.
    private let stem: String
    private static let variable = "VNE_NETWORK"

    /// The process whose number a file has, if it still runs that program for the network.
    init?(recordedIn path: String, program: String, of place: NetworkPlace) {
        guard let text = try? NodeFiles.text(path), let id = pid_t(text.prefix { $0 != "\n" }), id > 0,
            let name = try? NodeFiles.text("/proc/\(id)/comm"), name == "\(program)\n"
        else { return nil }
        self.id = id
        self.place = place
        self.program = program
        stem = path.split(separator: "/").last.map { String($0.prefix { $0 != "." }) } ?? program
        guard isAlive else { return nil }
    }

    /// What starts a program as an engine of a network.
    static func marked(_ place: NetworkPlace) -> [String] { ["env", "\(variable)=\(place.label)"] }

    /// Whether a process was started for a network by its manager.
    static func isMarked(_ id: pid_t, _ place: NetworkPlace) -> Bool {
        guard let environment = try? NodeFiles.text("/proc/\(id)/environ") else { return false }
        return environment.split(separator: "\0").contains { $0 == "\(variable)=\(place.label)" }
    }

    /// Which one it is, and what it said last if that was kept: `bird (4711)`.
    var sentence: String {
        let own = stem == program ? "\(program) (\(id))" : "\(program) (\(id), \(stem))"
        let said = (try? NodeFiles.text("\(place.running)/\(stem).log")) ?? ""
        let lines = said.split(separator: "\n").suffix(3).map { String($0.prefix(200)) }
        return lines.isEmpty ? own : "\(own), which said last: \(lines.joined(separator: "; "))"
    }

    /// Whether it runs; one that ended and that nobody has asked about has no environment any more.
    var isAlive: Bool { Self.isMarked(id, place) }

    /// Asks processes to end, and waits until they have; those that take longer than five seconds are killed.
    static func end(_ processes: [EngineProcess]) async throws(ManagerError) {
        for process in processes where process.isAlive { _ = kill(process.id, SIGTERM) }
        for _ in 0..<500 where processes.contains(where: \.isAlive) { try await Program.pause() }
        for process in processes where process.isAlive { _ = kill(process.id, SIGKILL) }
    }
}
