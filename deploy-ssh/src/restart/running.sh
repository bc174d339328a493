# What runs now. $1: service, $2: sudo, $3: pid file.
look
end seen "$manager" "$load" "$active" "$sub" "$id" "$proc"
