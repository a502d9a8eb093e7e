import PolicyModel

/// The rules for names of applications, and the search for the one that was meant.
enum Name {
    private static let limit = 63

    static func check(_ name: String) throws(AgentError) {
        guard !name.isEmpty, name.utf8.count <= limit, name.utf8.allSatisfy(isAllowed),
            name.utf8.first != UInt8(ascii: "-"), name.utf8.first != UInt8(ascii: ".")
        else {
            throw AgentError(
                .usage, "“\(name)” is no name for an application",
                hint: "letters, digits, “-”, “_” and “.”, at most \(limit), the first no “-” or “.”")
        }
    }

    static func check(hostname: String) throws(AgentError) {
        let labels = hostname.split(separator: ".", omittingEmptySubsequences: false)
        let isValid = labels.allSatisfy { label in
            (1...limit).contains(label.utf8.count) && label.utf8.allSatisfy { isAllowed($0) && $0 != UInt8(ascii: "_") }
                && label.first != "-" && label.last != "-"
        }
        guard isValid, hostname.utf8.count <= 253, labels.last?.lowercased() != "localhost",
            // What ends with a number is read as an address by many programs.
            labels.last?.utf8.allSatisfy({ (48...57).contains($0) }) == false
        else {
            throw AgentError(
                .usage, "“\(hostname)” is no hostname",
                hint:
                    "labels of letters, digits and “-”, separated by dots, at most 253 characters, the last one no number"
            )
        }
    }

    /// The last component of a path with what no name may have replaced.
    static func suggested(for path: String) -> String {
        let last = path.split(separator: "/").last ?? ""
        let allowed = last.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: "-") }
        let name = allowed.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }.prefix(limit)
        return name.isEmpty ? "application" : String(decoding: name, as: UTF8.self)
    }

    /// `did you mean “…”?`, or the names that there are when none is near and they are few.
    static func nearest(to name: String, among names: [String]) -> String? {
        var search = NearestWord()
        if let near = search.find(name, in: names) { return "did you mean “\(near)”?" }
        guard (1...12).contains(names.count) else { return nil }
        return "there is: \(names.sorted().joined(separator: ", "))"
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
