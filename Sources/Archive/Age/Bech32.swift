/// Bech32 (BIP 173) without its limit on length, as age writes keys.
enum Bech32 {
    private static let alphabet = Array("qpzry9x8gf2tvdw0s3jn54khce6mua7l".utf8)

    /// Puts the data of `text` into `output` if the text is well formed, its prefix is `prefix` (lower case) and the data fills
    /// `output` exactly. The text is all in upper or all in lower case. Nothing of it is copied elsewhere: it may be a secret.
    static func decode(_ text: UnsafeRawBufferPointer, prefix: String, into output: UnsafeMutableRawBufferPointer) -> Bool {
        let prefix = Array(prefix.utf8)
        guard text.count > prefix.count + 7, text[prefix.count] == UInt8(ascii: "1") else { return false }
        let isUpper = text.contains { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") }
        if isUpper, text.contains(where: { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }) { return false }
        var checksum = Checksum()
        for (index, expected) in prefix.enumerated() where lower(text[index]) != expected { return false }
        for byte in prefix { checksum.add(byte >> 5) }
        checksum.add(0)
        for byte in prefix { checksum.add(byte & 31) }

        var bits: UInt32 = 0
        var bitCount = 0
        var position = 0
        for (index, byte) in text.enumerated().dropFirst(prefix.count + 1) {
            guard let value = alphabet.firstIndex(of: lower(byte)) else { return false }
            checksum.add(UInt8(value))
            if index >= text.count - 6 { continue }
            bits = bits << 5 | UInt32(value)
            bitCount += 5
            if bitCount < 8 { continue }
            bitCount -= 8
            guard position < output.count else { return false }
            output[position] = UInt8(truncatingIfNeeded: bits >> UInt32(bitCount))
            position += 1
            bits &= (1 << UInt32(bitCount)) - 1
        }
        // What does not fill a byte must be less than one character, and zero.
        return checksum.isRight && position == output.count && bitCount < 5 && bits == 0
    }

    private static func lower(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte + 32 : byte
    }

    private struct Checksum {
        private var value: UInt32 = 1
        private static let generators: [UInt32] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3]

        mutating func add(_ five: UInt8) {
            let top = value >> 25
            value = (value & 0x1ff_ffff) << 5 ^ UInt32(five)
            for (index, generator) in Self.generators.enumerated() where top >> UInt32(index) & 1 == 1 { value ^= generator }
        }

        var isRight: Bool { value == 1 }
    }
}
