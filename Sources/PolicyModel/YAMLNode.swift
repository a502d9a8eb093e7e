/// A place in a text.
package struct YAMLMark: Hashable, Comparable, Sendable {
    /// From 1.
    package var line: Int
    /// In characters, from 1.
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// A value of a YAML document, and where it begins.
package struct YAMLNode: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// `plain`: written without quotes.
        case scalar(String, plain: Bool)
        case sequence([YAMLNode])
        case mapping([YAMLEntry])
        /// Something that was reported already, such as an alias; nothing more is to be said about it.
        case refused
    }
    package var content: Content
    package var mark: YAMLMark

    package init(content: Content, mark: YAMLMark) {
        self.content = content
        self.mark = mark
    }

    /// What it is, for "found …".
    package var found: String {
        switch content {
        case .scalar("", plain: true): "nothing"
        case .scalar(let text, _): text.quoted
        case .sequence: "a list"
        case .mapping: "a mapping"
        case .refused: "something else"
        }
    }
}

/// A key of a YAML mapping and its value.
package struct YAMLEntry: Hashable, Sendable {
    package var key: YAMLNode
    package var value: YAMLNode
}

extension String {
    /// In quotation marks, on one line and of bounded length, whatever is in it.
    package var quoted: String {
        var text = "“"
        var count = 0
        for scalar in unicodeScalars {
            guard count < 64 else {
                text += "…"
                break
            }
            // Control characters and those that turn the direction of writing would spoil the line.
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: text += scalar.escaped(asASCII: true)
            default: text.unicodeScalars.append(scalar)
            }
            count += 1
        }
        return text + "”"
    }
}

extension String {
    /// In quotes, so that YAML reads nothing into it, whatever is in it.
    package var quotedForYAML: String {
        var text = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\" + String(scalar)
            case " "..."~": text.unicodeScalars.append(scalar)
            default:
                let digits = String(scalar.value, radix: 16)
                text += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
            }
        }
        return text + "\""
    }
}
