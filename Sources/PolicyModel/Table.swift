/// Plain text in aligned columns, two spaces between them.
public struct Table: Hashable, Sendable {
    /// Titles of the columns.
    public var header: [String]
    /// As many cells a row as there are titles.
    public var rows: [[String]]
    /// Columns that end together, as numbers do.
    public var rightAligned: Set<Int>

    /// A table from its parts.
    public init(_ header: [String], rows: [[String]] = [], rightAligned: Set<Int> = []) {
        self.header = header
        self.rows = rows
        self.rightAligned = rightAligned
    }
}

extension Table: CustomStringConvertible {
    /// A line for the header and one for each row, without blanks at their ends.
    public var description: String {
        let lines = ([header] + rows).map { $0.map(\.printable) }
        let widths = header.indices.map { column in
            lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return lines.map { cells in
            let padded = cells.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
                return rightAligned.contains(column) ? padding + cell : cell + padding
            }
            let line = padded.joined(separator: "  ")
            return String(line[..<(line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex)])
        }
        .joined(separator: "\n")
    }
}
