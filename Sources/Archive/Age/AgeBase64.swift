import CSodium

/// Standard base64 without padding (RFC 4648), canonical only.
enum AgeBase64 {
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        let variant = sodium_base64_VARIANT_ORIGINAL_NO_PADDING
        var text = [CChar](repeating: 0, count: sodium_base64_encoded_len(bytes.count, variant))
        sodium_bin2base64(&text, text.count, bytes, bytes.count, variant)
        return text.dropLast().map { UInt8(bitPattern: $0) }
    }

    /// Nil for anything but the one encoding of some bytes.
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        // libsodium reads bytes from 128 on as "/".
        if text.contains(where: { $0 >= 0x80 }) { return nil }
        let text = text.map { CChar(bitPattern: $0) }
        var bytes = [UInt8](repeating: 0, count: text.count / 4 * 3 + 3)
        var count = 0
        let capacity = bytes.count
        let isWhole = text.withUnsafeBufferPointer { text in
            var end: UnsafePointer<CChar>?
            let result = sodium_base642bin(
                &bytes, capacity, text.baseAddress, text.count, nil, &count, &end, sodium_base64_VARIANT_ORIGINAL_NO_PADDING)
            return result == 0 && (text.isEmpty || end == text.baseAddress! + text.count)
        }
        return isWhole ? Array(bytes.prefix(count)) : nil
    }
}
