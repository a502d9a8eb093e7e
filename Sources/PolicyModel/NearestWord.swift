/// Finds the word that somebody meant.
public struct NearestWord {
    /// How many words may still be compared. Among thousands of names a search takes its time, and a file with
    /// thousands of wrong names is not helped by the last suggestion.
    private var budget = 400_000

    /// A search with its whole budget.
    public init() {}

    /// The word nearest to `text`, if it is near: at most a third of its letters put in, dropped, replaced or swapped.
    public mutating func find(_ text: String, in words: some Collection<String>) -> String? {
        guard words.count <= budget else { return nil }
        budget -= words.count
        let wanted = Array(text.lowercased().utf8)
        guard !wanted.isEmpty, wanted.count <= 128 else { return nil }
        var best: String?
        var limit = max(1, wanted.count / 3)
        for word in words {
            let candidate = Array(word.lowercased().utf8)
            guard abs(candidate.count - wanted.count) <= limit else { continue }
            let distance = Self.distance(wanted, candidate)
            guard distance <= limit else { continue }
            best = word
            // Only a nearer one takes its place.
            guard distance > 0 else { break }
            limit = distance - 1
        }
        return best
    }

    /// Optimal string alignment: the least number of letters to insert, drop, replace or swap with their neighbour.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            for column in right.indices {
                let same = left[row] == right[column]
                var cost = min(last[column + 1] + 1, current[column] + 1, last[column] + (same ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
