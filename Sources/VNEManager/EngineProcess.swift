internal import FoundationEssentials
internal import Glibc

/// A process of an engine, which goes on without the manager.
struct EngineProcess: Hashable, Sendable {
    let id: pid_t

    /// The process whose number a file has, if it still runs that program.
    init?(recordedIn path: String, program: String) {
        guard let text = try? NodeFiles.text(path), let id = pid_t(text.prefix { $0 != "\n" }), id > 0,
            let name = try? NodeFiles.text("/proc/\(id)/comm"), name == "\(program)\n"
        else { return nil }
        self.id = id
        guard isAlive else { return nil }
    }

    /// Whether it runs; one that ended and that nobody has asked about has no command line any more.
    var isAlive: Bool { (try? NodeFiles.text("/proc/\(id)/cmdline"))?.isEmpty == false }

    /// Asks processes to end, and waits until they have; those that take longer than five seconds are killed.
    static func end(_ processes: [EngineProcess]) async {
        for process in processes { _ = kill(process.id, SIGTERM) }
        for _ in 0..<500 where processes.contains(where: \.isAlive) {
            try? await Task.sleep(for: .milliseconds(10))
        }
        for process in processes where process.isAlive { _ = kill(process.id, SIGKILL) }
    }
}
