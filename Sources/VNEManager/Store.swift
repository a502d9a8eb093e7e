/// etcd, at a manager that keeps the network's store: in the network's namespace, with its data in what the node keeps.
struct Store {
    let place: NetworkPlace

    private var number: String { "\(place.running)/etcd.pid" }
    private var told: String { "\(place.applied)/etcd.env" }

    /// The process, if it runs.
    var process: EngineProcess? { EngineProcess(recordedIn: number, program: "etcd", of: place) }

    /// Has etcd run on these settings, a line each; none where the node keeps no store. Whether the others are there is not
    /// waited for: nothing that runs already depends on it.
    func reconcile(_ settings: String) async throws(ManagerError) {
        if let process {
            if try NodeFiles.text(told) == settings { return }
            try await EngineProcess.end([process])
        }
        guard !settings.isEmpty else { return try NodeFiles.remove(told) }
        try NodeFiles.make(place.store)
        // The number is there before the program is.
        let start = "echo $$ > \"$1\" && log=$2 && shift 2 && exec \"$@\" >> \"$log\" 2>&1 < /dev/null"
        let shell = ["sh", "-c", start, "sh", number, "\(place.running)/etcd.log"]
        let etcd =
            ["nice", "-n", "-5", "env"] + settings.split(separator: "\n").map(String.init)
            + ["ETCD_DATA_DIR=\(place.store)", "etcd"]
        try await Program(EngineProcess.marked(place) + ["setsid", "--fork"] + shell + etcd).inside(
            namespace: place.label
        ).run()
        for _ in 0..<500 where process == nil { try await Program.pause() }
        guard process != nil else {
            let log = try NodeFiles.text("\(place.running)/etcd.log") ?? ""
            throw ManagerError(.failed, "etcd ended at once: \(log.suffix(300))")
        }
        try NodeFiles.write(settings, to: told)
    }
}
