/// A copy of the kernel half in a directory of its own, made by the Makefile as the original is.
final class MutationBuild {
    private let name: String
    private let target: String

    private var directory: String { "/tmp/\(name)" }

    /// Copies the sources and makes one of the objects.
    init(of target: String) throws {
        Leftovers.sweep()
        name = Leftovers.newName()
        self.target = target
        try Shell.run(
            """
            mkdir -p \(directory)/original; cd \(directory)/original
            cp -a \(Repository.root)/Makefile .
            cp -a \(Repository.root)/bpf/. bpf; rm -rf bpf/.output
            """)
        _ = try make("original")
    }

    deinit {
        Leftovers.remove(name)
    }

    /// The object without a mutation.
    var original: String { "\(directory)/original/\(target)" }

    /// Makes the object with a mutation.
    func object(with mutation: Mutation) throws -> String {
        let path = "\(directory)/mutated/bpf/\(mutation.file)"
        try Shell.run("rm -rf \(directory)/mutated; cp -a \(directory)/original \(directory)/mutated")
        let source = String(decoding: try ObjectFile.bytes(of: path), as: UTF8.self)
        let parts = source.components(separatedBy: mutation.text)
        guard parts.count == 2 else {
            throw TestFailure("“\(mutation)”: its text is \(parts.count - 1) times in bpf/\(mutation.file), not once")
        }
        try ObjectFile.write(parts.joined(separator: mutation.replacement), to: path)
        return try make("mutated")
    }

    private func make(_ copy: String) throws -> String {
        try Shell.run("make -s -C \(directory)/\(copy) \(target)")
        return "\(directory)/\(copy)/\(target)"
    }
}

extension String {
    /// The parts between the occurrences of another text.
    fileprivate func components(separatedBy separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
