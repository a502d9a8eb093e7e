import Foundation
import Testing

/// What each module may use (`docs/ARCHITECTURE.md`, the house): read from the sources, so that a forbidden arrow fails
/// here before anybody builds on it.
struct ModuleArrows {
    /// A line that uses what its module may not.
    struct Violation: Equatable, CustomStringConvertible {
        var file: String
        var line: Int
        var what: String

        var description: String { "\(file):\(line): \(what)" }
    }

    /// What the Swift files of a module may import besides the standard library. A module that is not listed may not
    /// exist: whoever adds one says here what it may use.
    static let imports: [String: Set<String>] = [
        "PolicyModel": [],
        "VNEBPF": ["PolicyModel", "CLibBPF", "VNEPrograms", "Glibc", "Synchronization"],
        "VNEHost": ["PolicyModel", "CLinux", "Glibc", "Synchronization"],
        "VNEAgent": ["PolicyModel", "Synchronization"],
        "vne-agent": [
            "PolicyModel", "VNEAgent", "VNEBPF", "VNEHost", "ArgumentParser", "FoundationEssentials", "Glibc",
            "Synchronization",
        ],
        "OverlayModel": ["PolicyModel"],
        "OverlayKeys": ["PolicyModel", "OverlayModel", "Crypto", "CryptoExtras"],
        "VNEManager": [
            "PolicyModel", "OverlayModel", "OverlayKeys", "VNEHost", "Subprocess", "SystemPackage",
            "FoundationEssentials", "Glibc", "Synchronization",
        ],
        "vne-manager": [
            "PolicyModel", "OverlayModel", "OverlayKeys", "VNEManager", "ArgumentParser", "FoundationEssentials",
            "Glibc",
            "Synchronization",
        ],
    ]

    /// What single files may import on top.
    static let exceptions: [String: Set<String>] = [
        "PolicyModel/YAMLDocument.swift": ["CLibYAML"],
        "OverlayKeys/Encodings.swift": ["FoundationEssentials"],
        "OverlayModel/ProbePlan.swift": ["FoundationEssentials"],
    ]

    /// Modules that never leave memory safety.
    static let safe: Set<String> = ["PolicyModel", "VNEAgent", "OverlayModel", "OverlayKeys"]

    /// What is wrong with a file, whose path begins with its module: `VNEAgent/Agent.swift`.
    static func violations(in text: String, path: String) -> [Violation] {
        let module = String(path.prefix { $0 != "/" })
        guard let allowed = imports[module] else {
            return [Violation(file: path, line: 1, what: "a module of no known place in the house")]
        }
        let exceptions = exceptions[path]
        var found: [Violation] = []
        for (index, line) in code(text).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if let name = importedModule(line), !allowed.union(exceptions ?? []).contains(name) {
                found.append(Violation(file: path, line: index + 1, what: "imports \(name)"))
            }
            if safe.contains(module), exceptions == nil, isUnsafe(line) {
                found.append(Violation(file: path, line: index + 1, what: "is unsafe"))
            }
        }
        return found
    }

    /// What is wrong with a file of the kernel half: it sees the kernel's own headers, libbpf's for programs, and its
    /// neighbours.
    static func violations(inProgram text: String, path: String) -> [Violation] {
        // Kernel and Swift both include these, and the host's compiler needs libc for nothing in them.
        let shared = path.hasPrefix("include/") || !path.contains(".bpf.")
        var found: [Violation] = []
        for (index, line) in code(text).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.replacing("#", with: " ").split(whereSeparator: { " \t".contains($0) })
            guard line.contains("#"), words.first == "include", let header = words.dropFirst().first else { continue }
            guard header.hasPrefix("<") else { continue }
            let isKernel =
                shared ? header == "<linux/types.h>" : header.hasPrefix("<linux/") || header.hasPrefix("<asm/")
            if !isKernel, shared || !header.hasPrefix("<bpf/bpf_") {
                found.append(Violation(file: path, line: index + 1, what: "includes \(header)"))
            }
        }
        return found
    }

    /// The module that a line imports, whatever stands before and behind: `internal import struct A.B`.
    private static func importedModule(_ line: Substring) -> String? {
        let words = line.split(whereSeparator: { " \t;".contains($0) })
        guard let index = words.firstIndex(of: "import"), words[..<index].allSatisfy({ isModifier($0) }) else {
            return nil
        }
        var rest = words[(index + 1)...]
        if let kind = rest.first,
            ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"].contains(kind)
        {
            rest.removeFirst()
        }
        return rest.first.map { String($0.prefix { $0 != "." }) }
    }

    private static func isModifier(_ word: Substring) -> Bool {
        word.hasPrefix("@") || ["public", "package", "internal", "fileprivate", "private"].contains(word)
    }

    /// Whether a line has a word that memory safety does without.
    private static func isUnsafe(_ line: Substring) -> Bool {
        line.split(whereSeparator: { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "@" }).contains { word in
            word == "unsafe" || word == "@unsafe" || word == "@safe" || word.hasPrefix("Unsafe")
                || word.hasPrefix("withUnsafe") || word.hasPrefix("unsafe")
        }
    }

    /// The text without its comments; as many lines.
    private static func code(_ text: String) -> String {
        var result = ""
        var depth = 0
        var rest = text.replacing("\r\n", with: "\n")[...]
        while let character = rest.first {
            if rest.hasPrefix("/*") {
                depth += 1
                rest = rest.dropFirst(2)
            } else if depth > 0, rest.hasPrefix("*/") {
                depth -= 1
                rest = rest.dropFirst(2)
            } else if depth == 0, rest.hasPrefix("//") {
                rest = rest.drop { $0 != "\n" }
            } else {
                if depth == 0 || character == "\n" {
                    result.append(character)
                }
                rest = rest.dropFirst()
            }
        }
        return result
    }
}

@Suite struct ModuleArrowsTests {
    /// The repository, wherever a link to this folder leads from.
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Paths of the files below a folder of the repository that end in one of these, relative to it.
    private func files(below folder: String, _ endings: [String]) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: Self.root.appending(path: folder).path)
            .filter { path in endings.contains { path.hasSuffix($0) } && !path.hasPrefix(".") }
            .sorted()
    }

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    }

    @Test func `no module uses what the house forbids it`() throws {
        let files = try files(below: "Sources", [".swift"])
        #expect(files.contains("PolicyModel/Policy.swift") && files.contains("VNEAgent/Dataplane.swift"))
        for file in files {
            #expect(ModuleArrows.violations(in: try text("Sources/\(file)"), path: file) == [])
        }
    }

    @Test func `the programs include headers of the kernel, of libbpf and their own`() throws {
        let files = try files(below: "bpf", [".c", ".h"])
        #expect(files.contains("include/vne_abi.h"))
        for file in files {
            #expect(ModuleArrows.violations(inProgram: try text("bpf/\(file)"), path: file) == [])
        }
    }

    @Test func `the package declares no arrow that the sources may not use`() throws {
        let package = try text("Package.swift")
        for (module, allowed) in ModuleArrows.imports {
            guard
                let start = package.range(of: "name: \"\(module)\", dependencies: [")
                    ?? package.range(of: "name: \"\(module)\",\n            dependencies: [")
            else {
                continue
            }
            let list = package[start.upperBound...].prefix { $0 != "]" }
            let names = list.matches(of: /"([^"]+)"/).map { String($0.output.1) }
            let exceptions = ModuleArrows.exceptions.filter { $0.key.hasPrefix("\(module)/") }
                .reduce(into: Set<String>()) { $0.formUnion($1.value) }
            let external: Set<String> = [
                "swift-argument-parser", "swift-crypto", "swift-subprocess", "swift-system",
            ]
            #expect(Set(names).subtracting(external).isSubset(of: allowed.union(exceptions)), "\(module)")
        }
    }

    @Test(arguments: [
        ("PolicyModel/New.swift", "import Foundation", "imports Foundation"),
        ("PolicyModel/New.swift", "import Glibc", "imports Glibc"),
        ("PolicyModel/New.swift", "internal import CLibYAML", "imports CLibYAML"),
        ("PolicyModel/YAMLDocument.swift", "import Glibc", "imports Glibc"),
        ("PolicyModel/New.swift", "let x = unsafe y", "is unsafe"),
        ("VNEAgent/New.swift", "public import VNEBPF", "imports VNEBPF"),
        ("VNEAgent/New.swift", "@preconcurrency private import CLibBPF", "imports CLibBPF"),
        ("VNEAgent/New.swift", "import struct VNEHost.LinuxHost", "imports VNEHost"),
        ("VNEAgent/New.swift", "    bytes.withUnsafeBytes { $0 }", "is unsafe"),
        ("VNEAgent/New.swift", "nonisolated(unsafe) var x = 1", "is unsafe"),
        ("VNEHost/New.swift", "/* why */ import CLibBPF // not", "imports CLibBPF"),
        ("VNEBPF/New.swift", "import VNEHost", "imports VNEHost"),
        ("vne-agent/New.swift", "import Foundation", "imports Foundation"),
        ("vne-agent/New.swift", "import Crypto", "imports Crypto"),
        ("OverlayModel/New.swift", "import Crypto", "imports Crypto"),
        ("OverlayKeys/New.swift", "import FoundationEssentials", "imports FoundationEssentials"),
        ("Elsewhere/New.swift", "", "a module of no known place in the house"),
    ])
    func `a forbidden arrow is found`(path: String, code: String, what: String) {
        let text = "// A comment.\n/// import Nothing\n\(code)\n"
        let line = path.hasPrefix("Elsewhere") ? 1 : 3
        #expect(
            ModuleArrows.violations(in: text, path: path)
                == [ModuleArrows.Violation(file: path, line: line, what: what)])
    }

    @Test(arguments: [
        ("PolicyModel/YAMLDocument.swift", "import CLibYAML\nlet x = unsafe y"),
        ("PolicyModel/New.swift", "// import Foundation, which is unsafe\n/* import Glibc\n unsafe */"),
        ("VNEBPF/New.swift", "internal import CLibBPF\nlet x = unsafe y"),
        ("vne-agent/New.swift", "import FoundationEssentials"),
        ("VNEAgent/New.swift", "let important = 1\nlet text = \"to import Glibc\""),
    ])
    func `an arrow of the house is not`(path: String, code: String) {
        #expect(ModuleArrows.violations(in: code, path: path) == [])
    }

    @Test func `a program that includes libc is found`() {
        let violation = ModuleArrows.Violation(file: "new.bpf.c", line: 2, what: "includes <string.h>")
        #expect(
            ModuleArrows.violations(
                inProgram:
                    "#include <linux/bpf.h>\n# include <string.h>\n#include \"own.h\"\n#include <bpf/bpf_endian.h>\n",
                path: "new.bpf.c") == [violation])
        #expect(
            ModuleArrows.violations(inProgram: "#include <linux/bpf.h>\n", path: "include/new.h").map(\.what)
                == ["includes <linux/bpf.h>"])
        #expect(ModuleArrows.violations(inProgram: "#include <bpf/libbpf.h>\n", path: "new.bpf.c").count == 1)
    }
}
