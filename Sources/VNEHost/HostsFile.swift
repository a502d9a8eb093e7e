internal import CLinux
internal import Glibc
internal import PolicyModel

/// An instance's part of a hosts file, see hosts(5): a block between two marks. Every other line is left as it is.
///
/// The file is written in place, from the first byte that differs on. A new file that takes the old one's name would be
/// refused where the file is a mount of its own, would break a link, and would stay unseen by whoever has the old one: each
/// service with a file tree of its own. What precedes the block, which comes last unless somebody adds lines, is not
/// touched by a write at all.
struct HostsFile {
    let path: String
    let instance: String

    /// Has the block name these hosts, and no block where there is none to name.
    /// - Returns: those of the names that other lines give to somebody, too.
    func write(_ hosts: [NamedHost]) throws(HostError) -> Set<String> {
        let file = try Descriptor.open(path)
        let present = try file.contents(of: path)
        try checkLinked(file)
        let (wanted, rest) = merged(present, hosts)
        if wanted != present { try replace(with: hosts) }
        return Set(hosts.map(\.name)).intersection(Self.names(in: rest))
    }

    /// A file that was replaced by another one is still there for who has it open or mounted, and for nobody else.
    private func checkLinked(_ file: borrowing Descriptor) throws(HostError) {
        var status = stat()
        guard unsafe fstat(file.number, &status) == 0 else { throw .system("look at", path) }
        guard status.st_nlink > 0 else {
            throw HostError(
                .failed, "write to", path, code: ESTALE,
                hint: "It was replaced by another file, which this process cannot see: restart it.")
        }
    }

    private func replace(with hosts: [NamedHost]) throws(HostError) {
        let file = try Descriptor.open(path, flags: O_RDWR, operation: "write to")
        let number = file.number
        // Other instances have blocks of their own in it.
        guard restarting({ flock(number, LOCK_EX) }) == 0 else { throw .system("lock", path) }
        let present = try file.contents(of: path)
        let wanted = merged(present, hosts).text
        let same = zip(present, wanted).prefix { $0 == $1 }.count
        // Lines of the old block beyond the new end are gone in the same moment.
        let tail = wanted[same...] + [UInt8](repeating: UInt8(ascii: "\n"), count: max(0, present.count - wanted.count))
        let written = restarting {
            unsafe Array(tail).withUnsafeBytes { unsafe pwrite(number, $0.baseAddress, $0.count, off_t(same)) }
        }
        guard written == tail.count, ftruncate(number, off_t(wanted.count)) == 0 else {
            throw .system("write to", path)
        }
    }

    /// A file's bytes with the block as it should be, and without any block.
    func merged(_ bytes: [UInt8], _ hosts: [NamedHost]) -> (text: [UInt8], rest: [UInt8]) {
        var before: [UInt8] = []
        var after: [UInt8] = []
        // Where the block was, if there was one; lines behind a mark that never ends are somebody's.
        var block: [UInt8]?
        var isPast = false
        for line in Self.lines(of: bytes) {
            if block != nil, !isPast {
                block? += line
                isPast = line.starts(with: Array(end.utf8))
            } else if block == nil, line.starts(with: Array(begin.utf8)) {
                block = Array(line)
            } else if block == nil {
                before += line
            } else {
                after += line
            }
        }
        if let block, !isPast { before += Self.lines(of: block).dropFirst().joined() }
        var text = before
        if !hosts.isEmpty {
            if let last = text.last, last != UInt8(ascii: "\n") { text.append(UInt8(ascii: "\n")) }
            let lines = hosts.flatMap { host in host.addresses.all.map { "\($0) \(host.name)" } }
            text += Array(
                ([begin + ": names of applications; changes are lost"] + lines + [end, ""]).joined(separator: "\n").utf8
            )
        }
        return (text + after, before + after)
    }

    private var begin: String { "# vne-agent \(instance), begin" }
    private var end: String { "# vne-agent \(instance), end" }

    /// The lines with their ends.
    private static func lines(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        while start < bytes.count {
            let stop = bytes[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
            lines.append(bytes[start..<stop])
            start = stop
        }
        return lines
    }

    /// The names that lines give, in lower case.
    private static func names(in bytes: [UInt8]) -> Set<String> {
        var names: Set<String> = []
        for line in lines(of: bytes) {
            let text = String(decoding: line.prefix { $0 != UInt8(ascii: "#") }, as: UTF8.self)
            names.formUnion(text.split(whereSeparator: \.isWhitespace).dropFirst().map { $0.lowercased() })
        }
        return names
    }
}
