import ArgumentParser
import PolicyModel
import VNEAgent
import VNEBPF

/// What `dump` can show.
enum DumpSubject: String, CaseIterable, ExpressibleByArgument {
    case instance
    case policy
    case application
    case hooks
    case attachment
    case owner
    case counters
    case guarded
    case denials

    /// The pinned map; hooks are in none.
    var map: PinnedMap? { PinnedMap(rawValue: rawValue) }
}

struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Show what the kernel holds, map by map, decoded or raw.",
        discussion: """
            Names are those of bpftool; hooks are what is attached to the cgroups now. Examples:
              vne-agent dump
              vne-agent dump owner --json
              vne-agent dump policy --raw
            """)

    @Argument(help: "One map, or the hooks (default: all).")
    var map: DumpSubject?

    @Flag(help: "Show keys and values as bytes.")
    var raw = false

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        guard let loaded = try Session(instance, .show).loaded else {
            throw AgentError(.notFound, "the instance \(instance.instance) is not loaded")
        }
        let subjects = map.map { [$0] } ?? DumpSubject.allCases
        var sections: [DumpSection] = []
        for subject in subjects {
            sections += try raw ? loaded.rawSections(of: subject) : loaded.sections(of: subject)
        }
        if output.json {
            try Console.show(json: Dictionary(sections.map { ($0.name, $0.objects) }, uniquingKeysWith: { $0 + $1 }))
        } else {
            Console.show(sections.map(\.description).joined(separator: "\n\n"))
        }
    }
}

/// One table of a dump.
struct DumpSection: CustomStringConvertible {
    var name: String
    /// What it is, after its name.
    var about: String
    var table: Table

    /// The rows as objects for JSON: the columns' titles in lower case are the keys.
    var objects: [[String: String]] {
        table.rows.map { row in
            Dictionary(zip(table.header.map { $0.lowercased() }, row), uniquingKeysWith: { first, _ in first })
        }
    }

    var description: String {
        "\(name): \(about)\n" + (table.rows.isEmpty ? "(empty)" : table.description)
    }
}
