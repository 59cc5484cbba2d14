module portreeve.example/wasi-go

go 1.25
